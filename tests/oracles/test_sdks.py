"""Every fixture that a vendor's own client can read is read by it, over real sockets: text, counts, path.

The client also sends the request, so that the path is the vendor's too: the fake server refuses any other.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from loadlab.testing import vendors
from loadlab.testing.vendor_server import VendorServer
from loadlab.testing.vendors import MODEL, vendor

WORDS = 6
TEXT = "".join(f"word{number} " for number in range(WORDS))
ASKED: Any = [{"role": "user", "content": "hi"}]
PROMPT, OUTPUT = vendors.PROMPT_TOKENS, vendors.OUTPUT_TOKENS


class Read(NamedTuple):
    """What a client made of it: text or bytes, and counts (prompt, output), None where it says none."""

    text: str | bytes
    counts: tuple[int | None, int | None] = (None, None)


def openai_client(url: str) -> Any:
    import openai

    return openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0)


def chat_of(client: Any) -> Read:
    """OpenAI's chat, by any client that copies OpenAI's."""
    text, counts = "", (None, None)
    stream = client.chat.completions.create(model=MODEL, messages=ASKED, stream=True)
    for chunk in stream:
        if chunk.choices:
            text += chunk.choices[0].delta.content or ""
        if getattr(chunk, "usage", None):
            counts = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
    return Read(text, counts)


def openai_chat(url: str) -> Read:
    return chat_of(openai_client(url))


def groq_chat(url: str) -> Read:
    import groq

    client = groq.Groq(base_url=url, api_key="k", max_retries=0)
    client._prepare_options = lambda options: options.copy(update={"url": "/v1/chat/completions"})
    return chat_of(client)


def together_chat(url: str) -> Read:
    import together

    return chat_of(together.Together(base_url=url, api_key="k", max_retries=0))


def mistral_chat(url: str) -> Read:
    from mistralai.client import Mistral

    text, counts = "", (None, None)
    for event in Mistral(server_url=url, api_key="k").chat.stream(model=MODEL, messages=ASKED):
        if event.data.choices:
            text += event.data.choices[0].delta.content or ""
        if event.data.usage:
            counts = (event.data.usage.prompt_tokens, event.data.usage.completion_tokens)
    return Read(text, counts)


def openai_completions(url: str) -> Read:
    text, counts = "", (None, None)
    for chunk in openai_client(url).completions.create(model=MODEL, prompt="hi", stream=True):
        text += chunk.choices[0].text if chunk.choices else ""
        if chunk.usage:
            counts = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
    return Read(text, counts)


def openai_responses(url: str) -> Read:
    text, counts = "", (None, None)
    for event in openai_client(url).responses.create(model=MODEL, input="hi", stream=True):
        if event.type == "response.output_text.delta":
            text += event.delta
        if event.type in ("response.completed", "response.incomplete"):
            counts = (event.response.usage.input_tokens, event.response.usage.output_tokens)
    return Read(text, counts)


def openai_embeddings(url: str) -> Read:
    found = openai_client(url).embeddings.create(model=MODEL, input=["one"], encoding_format="float")
    assert len(found.data[0].embedding) > 0
    return Read("", (found.usage.prompt_tokens, None))


def openai_transcription(url: str) -> Read:
    clip = ("clip.wav", io.BytesIO(vendors.clip()), "audio/wav")
    text, counts = "", (None, None)
    for event in openai_client(url).audio.transcriptions.create(model=MODEL, file=clip, stream=True):
        if event.type == "transcript.text.delta":
            text += event.delta
        if event.type == "transcript.text.done" and event.usage:
            counts = (event.usage.input_tokens, event.usage.output_tokens)
    return Read(text, counts)


def anthropic_messages(url: str) -> Read:
    import anthropic

    client = anthropic.Anthropic(base_url=url, api_key="k", max_retries=0)
    with client.messages.stream(model=MODEL, max_tokens=100, messages=ASKED) as stream:
        text = "".join(stream.text_stream)
        usage = stream.get_final_message().usage
    read = (
        usage.input_tokens + (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
    )
    return Read(text, (read, usage.output_tokens))


def gemini(url: str) -> Read:
    from google import genai

    client = genai.Client(api_key="k", http_options={"base_url": url, "api_version": "v1beta"})
    text, last = "", None
    for chunk in client.models.generate_content_stream(model=MODEL, contents="hi"):
        text += chunk.text or ""
        last = chunk.usage_metadata or last
    assert last
    prompt = last.prompt_token_count + (last.tool_use_prompt_token_count or 0)
    return Read(text, (prompt, last.candidates_token_count + (last.thoughts_token_count or 0)))


def aws(service: str, url: str) -> Any:
    import botocore.session
    from botocore.config import Config

    session = botocore.session.get_session()
    session.set_credentials("AKID", "secret")
    config = Config(retries={"max_attempts": 0})
    return session.create_client(service, region_name="eu-west-1", endpoint_url=url, config=config)


def bedrock_converse(url: str) -> Read:
    asked = [{"role": "user", "content": [{"text": "hi"}]}]
    found = aws("bedrock-runtime", url).converse_stream(modelId=MODEL, messages=asked)
    text, usage = "", {}
    for event in found["stream"]:
        text += event.get("contentBlockDelta", {}).get("delta", {}).get("text", "")
        usage = event.get("metadata", {}).get("usage", usage)
    cached = usage["cacheReadInputTokens"] + usage["cacheWriteInputTokens"]
    return Read(text, (usage["inputTokens"] + cached, usage["outputTokens"]))


def bedrock_invoke(url: str) -> Read:
    found = aws("bedrock-runtime", url).invoke_model_with_response_stream(modelId=MODEL, body=b"{}")
    dialect = inner("anthropic", "text/event-stream")
    for event in found["body"]:
        chunk = event["chunk"]["bytes"]
        dialect.feed(b"data: " + chunk + b"\n\n")
    return dialect.read()


def sagemaker(url: str) -> Read:
    return of_sagemaker("openai-chat", url)


def sagemaker_tgi(url: str) -> Read:
    return of_sagemaker("tgi", url)


def of_sagemaker(name: str, url: str) -> Read:
    client = aws("sagemaker-runtime", url)
    found = client.invoke_endpoint_with_response_stream(EndpointName=MODEL, Body=b'{"stream": true}')
    dialect = inner(name, "text/event-stream")
    for event in found["Body"]:
        dialect.feed(event["PayloadPart"]["Bytes"])
    return dialect.read()


class inner:  # noqa: N801  reads as the function it is
    """What botocore hands out is opaque to it; the language inside is ours to read."""

    def __init__(self, name: str, kind: str) -> None:
        from loadlab import dialects

        self._decoder, self._text = dialects.get(name).decoder(kind), ""

    def feed(self, data: bytes) -> None:
        self._text += "".join(one.text for one in self._decoder.feed(data) if one.kind == "answer")

    def read(self) -> Read:
        return Read(self._text, self._decoder.usage[:2])


def ollama_chat(url: str) -> Read:
    import ollama

    text, last = "", None
    for part in ollama.Client(host=url).chat(model=MODEL, messages=ASKED, stream=True):
        text, last = text + (part.message.content or ""), part
    assert last
    return Read(text, (last.prompt_eval_count, last.eval_count))


def cohere_rerank(url: str) -> Read:
    import cohere

    found = cohere.Client(base_url=url, api_key="k").rerank(model=MODEL, query="hi", documents=["one", "two"])
    assert found.results[0].relevance_score is not None
    return Read("")


def tgi(url: str) -> Read:
    from huggingface_hub import InferenceClient

    text, details = "", None
    client = InferenceClient(model=f"{url}/generate_stream")
    for part in client.text_generation("hi", stream=True, details=True, max_new_tokens=9):
        text += "" if part.token.special else part.token.text
        details = part.details or details
    assert details
    return Read(text, (None, details.generated_tokens))


def tei_embed(url: str) -> Read:
    from huggingface_hub import InferenceClient

    found = InferenceClient(model=f"{url}/embed").feature_extraction("hi")
    assert found.shape[-1] > 0
    return Read("")


def kserve(url: str) -> Read:
    import numpy as np
    from tritonclient import http

    client = http.InferenceServerClient(url.removeprefix("http://"))
    asked = http.InferInput("text_input", [1], "BYTES")
    asked.set_data_from_numpy(np.array([b"hi"], dtype=object), binary_data=False)
    found = client.infer(MODEL, [asked])
    assert found.get_response()["outputs"]
    return Read("")


def deepgram_listen(url: str) -> Read:
    from deepgram import DeepgramClient
    from deepgram.environment import DeepgramClientEnvironment

    place = DeepgramClientEnvironment(base=url, production=url, agent=url, agent_rest=url)
    found = DeepgramClient(api_key="k", environment=place).listen.v1.media.transcribe_file(
        request=vendors.clip(), model=MODEL
    )
    return Read(found.results.channels[0].alternatives[0].transcript)


def cartesia_events(url: str) -> Read:
    from cartesia import Cartesia

    form: Any = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24000}
    sound = b""
    client = Cartesia(base_url=url, api_key="k", max_retries=0)
    for event in client.tts.generate_sse(
        model_id=MODEL, transcript="hi", voice={"mode": "id", "id": "v"}, output_format=form
    ):
        if event.type == "chunk":
            sound += event.audio or b""
    return Read(sound)


READERS: dict[str, tuple[str, Callable[[str], Read]]] = {
    "openai: chat": ("openai-chat", openai_chat),
    "openai: completions": ("openai-completions", openai_completions),
    "openai: responses": ("openai-responses", openai_responses),
    "openai: embeddings": ("openai-embeddings", openai_embeddings),
    "openai: transcription": ("openai-transcription", openai_transcription),
    "together: chat": ("openai-chat", together_chat),
    "mistralai: chat": ("openai-chat", mistral_chat),
    "groq: chat": ("openai-chat", groq_chat),
    "anthropic: messages": ("anthropic", anthropic_messages),
    "google-genai: generate": ("gemini", gemini),
    "botocore: Converse": ("bedrock-converse", bedrock_converse),
    "botocore: Bedrock invoke": ("bedrock-invoke", bedrock_invoke),
    "botocore: SageMaker": ("sagemaker", sagemaker),
    "botocore: SageMaker with TGI": ("sagemaker-tgi", sagemaker_tgi),
    "ollama: chat": ("ollama", ollama_chat),
    "huggingface_hub: TGI": ("tgi", tgi),
    "huggingface_hub: TEI": ("tei-embed", tei_embed),
    "cohere: rerank": ("rerank", cohere_rerank),
    "tritonclient: infer": ("kserve", kserve),
    "deepgram-sdk: listen": ("deepgram-listen", deepgram_listen),
    "cartesia: events": ("cartesia", cartesia_events),
}


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy stands between a client and this machine."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("reader", READERS)
def test_the_vendors_own_client_reads_our_fixture(reader: str) -> None:
    dialect, read = READERS[reader]
    known = vendor(dialect)
    with VendorServer(known, first_s=0.0, gap_s=0.0, words=WORDS) as server:
        found = read(server.url)
    assert server.asked, "the client asked for something else"
    if known.sound:
        assert known.audio_s
        assert len(found.text) == round(known.audio_s * WORDS * 48_000)
    elif known.answers:
        assert found.text == TEXT
    for got, meant in zip(found.counts, known.usage[:2], strict=True):
        assert got is None or got == meant, (found.counts, known.usage)
