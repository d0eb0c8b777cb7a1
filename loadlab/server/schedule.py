"""Who computes what in the next step: pure Python, no torch, no clock.

One rule: every sequence wants its tokens computed, `len(tokens) - computed` of them, and a step has one
budget. Single tokens (decodes) come first, with what is guessed to follow them, then running prefills, then
new requests; in each of these interactive requests before batch ones. Out of blocks, the newest sequence of
the lowest class gives its blocks back and is computed again later; so nothing is ever reserved.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import chain

from loadlab.server.job import Choice, EngineError, Load
from loadlab.server.kv import Pool
from loadlab.server.plan import Chunk, Output, Proposer, Sequence
from loadlab.server.switches import Switches
from loadlab.server.tally import Tally

_CLASSES = (0, 1)  # interactive, batch


class Scheduler:
    """Batches over one pool of blocks. `end` is the token that ends an answer.

    `proposers` are by their name in `Switches.speculate`. After `plan`, `admitted` has those sequences that
    run for the first time, with how many of their tokens the prefix cache had.
    """

    def __init__(
        self,
        pool: Pool,
        switches: Switches,
        *,
        end: int,
        proposers: Mapping[str, Proposer] | None = None,
    ) -> None:
        self._pool, self._end, self._proposers = pool, end, proposers or {}
        self._running: tuple[list[Sequence], ...] = tuple([] for _ in _CLASSES)
        self._waiting: tuple[deque[Sequence], ...] = tuple(deque() for _ in _CLASSES)
        self._known: dict[str, Sequence] = {}
        self._tally = Tally()
        self._plan: list[Chunk] = []
        self._left = 0  # of the budget of the step being planned
        self._prompts = 0  # taken up in it
        self._gate = 0  # how many more may join the static batch
        self.admitted: list[tuple[Sequence, int]] = []
        self.switch(switches)

    @property
    def busy(self) -> bool:
        """Whether a step would do something."""
        return bool(self._known)

    @property
    def known(self) -> list[Sequence]:
        """All that run or wait."""
        return list(self._known.values())

    @property
    def switches(self) -> Switches:
        """The techniques as they are set."""
        return self._switches

    def switch(self, switches: Switches) -> None:
        """Sets the techniques from the next step on; more places than at the beginning there cannot be."""
        self._switches = switches
        if switches.prefix_cache != self._pool.caching:
            self._pool.switch_caching(switches.prefix_cache)

    def load(self) -> Load:
        """How many run and wait, how full the pool is, and what was done."""
        running, waiting = (sum(map(len, queues)) for queues in (self._running, self._waiting))
        return Load(running, waiting, self._pool.usage, self._tally.counts())

    def add(self, sequence: Sequence) -> None:
        """Queues a sequence. Raises EngineError 400 when the pool could never hold it."""
        longest = sequence.prompt + sequence.limit
        if self._pool.needed(longest) > self._pool.total:
            room = self._pool.total * self._pool.block
            words = f"The request may grow to {longest} tokens, but the KV cache holds {room}; ask for fewer."
            raise EngineError(words, 400)
        self._known[sequence.id] = sequence
        self._waiting[sequence.priority].append(sequence)

    def abort(self, sequence_id: str) -> None:
        """Forgets a sequence and frees its blocks; unknown ones are ignored. Not between plan and advance."""
        if sequence := self._known.pop(sequence_id, None):
            if sequence.running:
                self._leave(sequence)
            else:
                self._waiting[sequence.priority].remove(sequence)

    def plan(self) -> list[Chunk]:
        """The next step."""
        self._plan, self.admitted, self._prompts = [], [], 0
        self._left = self._switches.max_num_batched_tokens
        self._open_gate()
        self._plan_prefills(self._plan_decodes())
        self._admit()
        self._tally.steps += 1
        return self._plan

    def advance(self, plan: list[Chunk], choices: list[list[Choice]]) -> list[Output]:
        """Takes in what a step computed."""
        outputs: list[Output] = []
        prompts = 0
        block, caching = self._pool.block, self._pool.caching
        for chunk, chosen in zip(plan, choices, strict=True):
            sequence = chunk.sequence
            if chunk.start < sequence.prompt:
                prompts += min(chunk.count, sequence.prompt - chunk.start)
            sequence.computed = chunk.start + chunk.count
            if chosen:
                if chunk.draft:
                    chosen = self._accept(chunk, chosen)
                outputs.append(self._take(sequence, chosen))
            if caching and sequence.computed >= (sequence.kept + 1) * block:
                self._pool.keep(sequence)
        for output in outputs:
            if output.finish:
                del self._known[output.sequence.id]
                self._leave(output.sequence)
        self._tally.stepped(prompts, sum(len(output.choices) for output in outputs))
        return outputs

    def _open_gate(self) -> None:
        """A static batch is made of those that wait when nothing runs; the others wait until it is done."""
        if self._switches.batching == "continuous":
            self._gate = len(self._known)
        elif not any(self._running):
            self._gate = sum(map(len, self._waiting))

    def _plan_decodes(self) -> list[Sequence]:
        """Plans one token of every sequence that wants just one; returns the others."""
        others, plan, block = [], self._plan, self._pool.block
        for sequence in chain(*map(tuple, self._running)):
            computed = sequence.computed
            if len(sequence.tokens) - computed > 1:
                others.append(sequence)
            elif (
                self._left > 0
                and sequence.running  # it may just have had to give way
                and (computed < len(sequence.blocks) * block or self._make_room(sequence, computed + 1))
            ):
                plan.append(Chunk(sequence, computed, 1, True))
                self._left -= 1
        if plan and (proposer := self._proposers.get(self._switches.speculate)):
            self._speculate(proposer)
        return others

    def _speculate(self, proposer: Proposer) -> None:
        """Adds guesses to the decodes, unless so many run that checking them costs more than it saves."""
        most = min(self._switches.speculate_tokens, self._left // len(self._plan))
        if most < 1 or sum(map(len, self._running)) > self._switches.speculate_max_seqs:
            return
        wanted = [(c.sequence, min(most, c.sequence.limit - c.sequence.generated - 1)) for c in self._plan]
        for index, draft in enumerate(proposer.propose(wanted)):
            chunk = self._plan[index]
            self._pool.grow(chunk.sequence, chunk.start + 1 + len(draft))
            room = len(chunk.sequence.blocks) * self._pool.block - chunk.start - 1
            self._plan[index] = chunk._replace(draft=draft[:room])
            self._left -= len(draft[:room])

    def _plan_prefills(self, sequences: list[Sequence]) -> None:
        for sequence in sequences:
            count = self._share(sequence)
            if count and sequence.running and self._make_room(sequence, sequence.computed + count):
                self._choose(sequence, count)

    def _share(self, sequence: Sequence) -> int:
        """How many of the tokens it wants fit into what is left of the budget."""
        wants = sequence.wants
        if self._switches.chunked_prefill or self._left <= 0:
            return min(wants, max(self._left, 0))
        return wants if wants <= self._left or not self._prompts else 0

    def _choose(self, sequence: Sequence, count: int) -> None:
        self._plan.append(Chunk(sequence, sequence.computed, count, count == sequence.wants))
        self._left -= count
        self._prompts += 1

    def _admit(self) -> None:
        """Moves those that wait in, the first first, while there is budget, a place and room."""
        while self._left > 0 and self._gate > 0 and (waiting := next(filter(None, self._waiting), None)):
            sequence = waiting[0]
            if not (self._free_place(sequence) and self._free_blocks(sequence)):
                return
            count = self._share(sequence)
            if not count:
                self._pool.release(sequence)
                return
            waiting.popleft()
            self._enter(sequence)
            self._pool.grow(sequence, sequence.computed + count)
            self._choose(sequence, count)

    def _enter(self, sequence: Sequence) -> None:
        sequence.running = True
        self._running[sequence.priority].append(sequence)
        self._gate -= 1
        if not sequence.admitted:
            sequence.admitted = True
            self.admitted.append((sequence, sequence.computed))
            if self._pool.caching:
                self._tally.prefix_queries += sequence.prompt
                self._tally.prefix_hits += sequence.computed

    def _free_place(self, sequence: Sequence) -> bool:
        """Whether one more may run; an interactive request may take the place of a batch one."""
        running = sum(map(len, self._running))
        if running < self._switches.max_num_seqs:
            return True
        lower = self._lower(sequence)
        if lower and running == self._switches.max_num_seqs:
            self._preempt(lower[-1])
            return True
        return False

    def _free_blocks(self, sequence: Sequence) -> bool:
        """Gives it the cached blocks it begins with, when there is room for all the rest of it too."""
        self._pool.adopt(sequence)
        missing = self._pool.needed(len(sequence.tokens) + 1) - len(sequence.blocks)
        lower = self._lower(sequence)
        if missing <= self._pool.free + sum(len(other.blocks) for other in lower):
            while missing > self._pool.free and lower:
                self._preempt(lower[-1])
            if missing <= self._pool.free:
                return True
        self._pool.release(sequence)
        return False

    def _lower(self, sequence: Sequence) -> list[Sequence]:
        """Those that run and must give way to it."""
        return self._running[1] if sequence.priority == 0 else []

    def _make_room(self, sequence: Sequence, tokens: int) -> bool:
        """Finds blocks for its next tokens, if need be from others; False when it gives way itself."""
        while not self._pool.grow(sequence, tokens):
            victim = next(filter(None, reversed(self._running)))[-1]
            self._preempt(victim)
            if victim is sequence:
                return False
        return True

    def _preempt(self, sequence: Sequence) -> None:
        self._leave(sequence)
        self._waiting[sequence.priority].appendleft(sequence)
        self._tally.preemptions += 1
        for index, chunk in enumerate(self._plan):
            if chunk.sequence is sequence:
                self._left += chunk.count + len(chunk.draft)
                del self._plan[index]
                return

    def _leave(self, sequence: Sequence) -> None:
        self._running[sequence.priority].remove(sequence)
        sequence.running = False
        self._pool.release(sequence)

    def _accept(self, chunk: Chunk, chosen: list[Choice]) -> list[Choice]:
        """The choices up to the first that the draft had not guessed."""
        guesses = zip(chunk.draft, chosen, strict=False)
        right = next(
            (i for i, (guess, choice) in enumerate(guesses) if guess != choice.token), len(chunk.draft)
        )
        tally = self._tally
        tally.drafts += 1
        tally.draft_tokens += len(chunk.draft)
        tally.accepted += [0] * (right - len(tally.accepted))
        for position in range(right):
            tally.accepted[position] += 1
        return chosen[: right + 1]

    def _take(self, sequence: Sequence, chosen: list[Choice]) -> Output:
        """Appends chosen tokens up to one that ends the answer; all before the last are computed already."""
        tokens, most = sequence.tokens, sequence.prompt + sequence.limit
        end = None if sequence.sampling.ignore_eos else self._end
        for taken, choice in enumerate(chosen, 1):
            token = choice.token
            tokens.append(token)
            if token == end or len(tokens) >= most:
                sequence.computed += taken - 1
                return Output(sequence, chosen[:taken], "stop" if token == end else "length")
        sequence.computed += len(chosen) - 1
        return Output(sequence, chosen, None)
