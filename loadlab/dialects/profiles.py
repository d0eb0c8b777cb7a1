"""Profiles: what makes one vendor different, as data. Those shipped are in profiles.toml, a user's own in
[profiles.NAME] of loadlab.toml. It knows no wire language and reads no secret.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from loadlab.core import config as configuration
from loadlab.core.errors import UnknownNameError, UsageError
from loadlab.core.nouns import Endpoint

DEFAULT_DIALECT = "openai-chat"
_BEARER = "Authorization: Bearer {key}"
_TABLES = ("headers", "fields", "body", "params")
KEYS = {"url", "dialect", "api_key_env", "auth", "stream", "with", *_TABLES}
_BRACES = re.compile(r"\{(\w+)\}")

Profile = Mapping[str, Any]


def known(config: Mapping[str, Any] | None = None) -> dict[str, Profile]:
    """Every profile by name; the user's own come first. Raises UsageError for one that cannot be.

    `config` is the parsed loadlab.toml, read from the working directory when not given.
    """
    own = (configuration.load() if config is None else config).get("profiles", {})
    for name, profile in own.items():
        _check(name, profile)
    shipped = tomllib.loads(files(__package__).joinpath("profiles.toml").read_text(encoding="utf-8"))
    return {**shipped, **own}


def target(name: str, config: Mapping[str, Any] | None = None) -> Endpoint:
    """The endpoint under [targets.<name>], or the profile of that name. Raises as config.target does."""
    config = configuration.load() if config is None else config
    targets, profiles = config.get("targets", {}), known(config)
    if name in targets:
        return configuration.target(name, config)
    if name not in profiles:
        raise UnknownNameError("target", name, {*targets, *profiles})
    return Endpoint(url="", model="", dialect="", name=name, profile=name)


def resolve(endpoint: Endpoint, config: Mapping[str, Any] | None = None) -> Endpoint:
    """The endpoint with what its profile adds; its own settings win. An empty dialect is the profile's.

    Without a profile, the one whose host the URL names is taken. Raises UnknownNameError, or UsageError for
    what is missing.
    """
    profiles = known(config)
    name = endpoint.profile or _of_host(endpoint.url, profiles)
    if name is None:
        _check_auth(endpoint.auth, f"target '{endpoint.name}': ")
        return replace(endpoint, dialect=endpoint.dialect or DEFAULT_DIALECT)
    if name not in profiles:
        raise UnknownNameError("profile", name, profiles)
    dialect = endpoint.dialect or profiles[name].get("dialect", DEFAULT_DIALECT)
    profile = _spoken(profiles[name], dialect)
    params = {**profile.get("params", {}), **endpoint.params}
    auth = profile.get("auth", _BEARER) if endpoint.auth == _BEARER else endpoint.auth
    who = _check_auth(auth, f"target '{endpoint.name}': ")
    return replace(
        endpoint,
        profile=name,
        dialect=dialect,
        url=_filled(_url(endpoint.url, profile.get("url", "")), params, name, endpoint.name),
        auth_env=None if who else endpoint.auth_env or profile.get("api_key_env"),
        auth=auth,
        stream=endpoint.stream and profile.get("stream", True),
        params=params,
        headers={**profile.get("headers", {}), **endpoint.headers},
        fields={**profile.get("fields", {}), **endpoint.fields},
        body={**profile.get("body", {}), **endpoint.body},
    )


def _of_host(url: str, profiles: Mapping[str, Profile]) -> str | None:
    """The hosted vendor that the URL leads to; a server of one's own has no host to be known by."""
    host = urlsplit(url).hostname
    hosted = {
        urlsplit(p["url"]).hostname: name for name, p in profiles.items() if "api_key_env" in p and "url" in p
    }
    return hosted.get(host) if host else None


def _spoken(profile: Profile, dialect: str) -> Profile:
    """The profile as it is where this dialect is spoken."""
    other = profile.get("with", {}).get(dialect, {})
    joined = {key: {**profile.get(key, {}), **other.get(key, {})} for key in _TABLES}
    return {**profile, **other, **joined}


def _url(given: str, usual: str) -> str:
    """The given URL, or the profile's; one without a path of its own gets the profile's path and query."""
    parts = urlsplit(given)
    if not given or parts.path.strip("/") or parts.query:
        return given or usual
    way = urlsplit(usual)
    return urlunsplit(parts._replace(path=way.path, query=way.query))


def _filled(url: str, params: Mapping[str, str], profile: str, target: str) -> str:
    """The URL without braces, but for the model's, which is filled in when the model is known."""
    for name in dict.fromkeys(_BRACES.findall(url)):
        if name == "model":
            continue
        if name not in params:
            raise UsageError(
                f"profile '{profile}' wants to know the {name}: give params = {{ {name} = \"…\" }} "
                f"in [targets.{target}] of loadlab.toml."
            )
        url = url.replace(f"{{{name}}}", params[name])
    return url


def _check(name: str, profile: Any) -> None:
    where = f"loadlab.toml: [profiles.{name}]"
    if not isinstance(profile, Mapping):
        raise UsageError(f"{where} must be a table with a url and what else is special there.")
    for part in (profile, *profile.get("with", {}).values()):
        if strange := sorted(set(part) - KEYS):
            raise UsageError(f"{where} has unknown key '{strange[0]}'. Known: {', '.join(sorted(KEYS))}.")
    _check_auth(profile.get("auth", _BEARER), f"{where} ")


def _check_auth(auth: str, where: str) -> str:
    """Who gives credentials out, "" where a header carries a key. Raises UsageError for neither."""
    if "{key}" in auth and ":" in auth:
        return ""
    who, _, service = auth.partition(":")
    if who in ("entra", "google") or (who == "aws" and service):
        return who
    raise UsageError(
        f"{where}auth = {auth!r} must be like 'api-key: {{key}}', 'aws:bedrock', 'entra' or 'google'."
    )
