"""The nouns. Frozen, comparable values that every room shares; standard library only.

A contract is read into these (`Provider`, `Model`, `Endpoint` and what they are made of); traffic is
recorded in these (`Call`, `Reply`, `Exchange`); a verdict is told in these (`Finding`, `Run`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from wireproof.lifecycle import Status
from wireproof.money import Money

# ---------------------------------------------------------------------------------- provenance


@dataclass(frozen=True, slots=True)
class Where:
    """Where a fact stands in a contract: `file:line`, and the pointer inside the file."""

    file: str
    line: int
    pointer: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


NOWHERE = Where("", 0, "")


class Confidence(StrEnum):
    """How much a fact may be leaned on. Only `documented` facts can be violated."""

    DOCUMENTED = "documented"
    """The host's own documents say it."""
    SAMPLE = "sample"
    """Seen in one of the host's own samples."""
    SDK = "sdk"
    """The host's own published client relies on it."""
    INFERRED = "inferred"
    """Concluded by us, or told by somebody else."""
    DISPUTED = "disputed"
    """The sources contradict one another; `rivals` lists what else they say."""
    UNKNOWN = "unknown"
    """Nobody says. The value is a placeholder that a live run may replace."""


class Place(StrEnum):
    """Where on its page a fact stands, when that matters."""

    TABLE = "table"
    PROSE = "prose"
    """Only in a sentence, not in the table that should hold it."""
    SAMPLE = "sample"
    SIBLING = "sibling"
    """Missing on this page; taken from the page of a sibling endpoint."""
    ELSEWHERE = "elsewhere"
    """The page leaves it open; filled in from another source."""


@dataclass(frozen=True, slots=True)
class Rival:
    """Another value that some source gives for a disputed fact."""

    value: Any
    source: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a fact is believed."""

    source: str = ""
    """Name of an entry of the file's `sources`."""
    read: str = ""
    """When the source was read, YYYY-MM-DD."""
    confidence: Confidence = Confidence.DOCUMENTED
    place: Place = Place.TABLE
    rivals: tuple[Rival, ...] = ()
    note: str = ""
    """What is contradictory or open, in one sentence."""

    @property
    def binds(self) -> bool:
        """Whether a host that behaves otherwise breaks a promise of its own. What the page itself leaves open,
        and another document fills in, is too little for that."""
        return self.confidence is Confidence.DOCUMENTED and self.place is not Place.ELSEWHERE


# ------------------------------------------------------------------------------------ contracts

Condition = Mapping[str, Any]
"""Names to what they must be: a value, a list of allowed values, or `{present: true|false}`.

All must hold; an empty condition always holds. Names are parameters of the request (`aspect_ratio`)
or values of the job (`job.state`, a word of the host).
"""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a request, as this host takes it."""

    name: str
    """The host's name; dots nest (`safety.checkContent`)."""
    schema: Mapping[str, Any]
    """A JSON Schema 2020-12 fragment, without our own keys."""
    required: bool = False
    canonical: str | None = None
    """The model's parameter this one is, where there is one."""
    words: Mapping[str, Any] = field(default_factory=dict)
    """The host's values (as JSON text) to the canonical ones, where they differ."""
    matters: Condition = field(default_factory=dict)
    """When the parameter has an effect; empty: always."""
    otherwise: str = "ignored"
    """What the host does with it when it does not matter: `ignored`, `refused` or `unknown`."""
    unique: bool = False
    """A value that may be used only once per key (a client-made id)."""
    calls_out: bool = False
    """The host calls an address of ours because of it (a webhook): never sent without a receiver."""
    random: Any = None
    """The value that asks for a random choice (a seed of -1); None: there is none."""
    says: str = ""
    evidence: Evidence = Evidence()
    facts: Mapping[str, Evidence] = field(default_factory=dict)
    """Evidence of single keywords (`maximum`, `enum`, `default` …) where it differs from the whole."""
    where: Where = NOWHERE
    lines: Mapping[str, Where] = field(default_factory=dict)
    """Where single keywords stand."""

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(self.name.split("."))

    @property
    def default(self) -> Any:
        return self.schema.get("default")

    @property
    def has_default(self) -> bool:
        return "default" in self.schema

    def proof(self, keyword: str) -> Evidence:
        """The evidence of one keyword of the schema."""
        return self.facts.get(keyword, self.evidence)

    def line(self, keyword: str) -> Where:
        """Where one keyword stands; the parameter itself when it has no line of its own."""
        return self.lines.get(keyword, self.where)


class RuleKind(StrEnum):
    """A rule between parameters that no single schema can say."""

    TOGETHER = "together"
    """All of them or none of them."""
    AMONG = "among"
    """Their values, taken in order, are one of the listed rows (only where all are given)."""
    AT_MOST_ONE = "at_most_one"
    EXACTLY_ONE = "exactly_one"
    REQUIRES = "requires"
    """The first needs all the others."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule between parameters."""

    name: str
    kind: RuleKind
    parameters: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...] = ()
    when: Condition = field(default_factory=dict)
    says: str = ""
    evidence: Evidence = Evidence()
    where: Where = NOWHERE


class Does(StrEnum):
    """What an operation is for in the story of a job."""

    SUBMIT = "submit"
    """Starts a job and answers at once."""
    RUN = "run"
    """Starts a job and answers with its outputs."""
    STATUS = "status"
    RESULT = "result"
    CANCEL = "cancel"
    UPLOAD = "upload"
    ACCOUNT = "account"
    OTHER = "other"

    @property
    def bills(self) -> bool:
        """Whether an accepted call of this kind starts paid work."""
        return self in (Does.SUBMIT, Does.RUN)

    @property
    def asks(self) -> bool:
        """Whether it asks after a job that exists already."""
        return self in (Does.STATUS, Does.RESULT, Does.CANCEL)


class Means(StrEnum):
    """What a reply says about the job."""

    ACCEPTED = "accepted"
    STATE = "state"
    """Whatever the state word in it says: news, done or failed."""
    DONE = "done"
    FAILED = "failed"
    PROBLEM = "problem"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Shape:
    """The body of a reply: a JSON Schema fragment whose places may say what stands there.

    `schema` keeps our keys: `is` (the value of the job, output, link, account, problem or request that
    stands at this place), `each` (the array holds one item per `output`, `problem` or `item`) and
    `when` (a condition under which the place is there). One text, three readers: the mock writes by
    it, the dialogue reads by it, the checks judge by it.
    """

    schema: Mapping[str, Any]
    where: Where = NOWHERE
    lines: Mapping[str, Where] = field(default_factory=dict)
    """Pointer inside the schema to where it stands in the file."""
    proofs: Mapping[str, Evidence] = field(default_factory=dict)
    """Pointer inside the schema to its evidence, where it differs from the whole's."""


@dataclass(frozen=True, slots=True)
class HeaderField:
    """A header of a reply that carries a value."""

    name: str
    value: str
    """What stands there: a name of the vocabulary (`account.balance`)."""
    schema: Mapping[str, Any] = field(default_factory=dict)
    required: bool = False
    evidence: Evidence = Evidence()
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True)
class Alternative:
    """One kind of reply that an operation may give."""

    name: str
    statuses: tuple[int, ...]
    means: Means
    media: str = "json"
    """`json`, `image`, `html`, `empty` or `any`."""
    having: tuple[str, ...] = ()
    """Pointers that must be there for this alternative to be meant."""
    lacking: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    """The host's state words that this alternative may carry; empty: any."""
    shape: Shape | None = None
    headers: tuple[HeaderField, ...] = ()
    when: Condition = field(default_factory=dict)
    """Request values under which this alternative is the one to come (`outputType: URL`)."""
    says: str = ""
    evidence: Evidence = Evidence()
    where: Where = NOWHERE


class Kind(StrEnum):
    """What kind of problem an error reply tells of, whatever its number and text."""

    NO_KEY = "no_key"
    BAD_KEY = "bad_key"
    FORBIDDEN = "forbidden"
    UNKNOWN_MODEL = "unknown_model"
    UNKNOWN_JOB = "unknown_job"
    GONE = "gone"
    INVALID = "invalid"
    TOO_LARGE = "too_large"
    WRONG_METHOD = "wrong_method"
    UNREACHABLE_MEDIA = "unreachable_media"
    MODERATED = "moderated"
    OUT_OF_CREDITS = "out_of_credits"
    RATE_LIMITED = "rate_limited"
    TOO_MANY_JOBS = "too_many_jobs"
    OVERLOADED = "overloaded"
    FAILED = "failed"
    """The work itself failed."""
    TIMEOUT = "timeout"
    CANCELED = "canceled"
    CONFLICT = "conflict"
    BROKEN = "broken"
    """The host is at fault and says no more."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of error reply of this host."""

    name: str
    kind: Kind
    statuses: tuple[int, ...]
    """The first is the one the mock answers; the others are accepted too."""
    shape: Shape | None = None
    media: str = "json"
    code: str | None = None
    """The host's machine-readable code, where it has one."""
    message: str = ""
    """A text the mock gives; `{job.id}`, `{parameter}`, `{reason}` are filled in."""
    headers: tuple[HeaderField, ...] = ()
    retry: str = "unknown"
    """`never`, `later`, `same` (at once, the same request) or `unknown`."""
    billed: str = "unknown"
    """`never`, `maybe`, `always` or `unknown`."""
    says: str = ""
    evidence: Evidence = Evidence()
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True)
class Request:
    """How the call of an operation is put together."""

    method: str
    path: str
    """May hold `{model}` and `{job.id}`."""
    server: str = "api"
    envelope: str = "flat"
    """`none` (no body), `flat` (the parameters are the body), `array` (the body is a list of them)
    or a name under which they are nested."""
    parameters: str = "binding"
    """`binding`: the endpoint's parameters travel in it; `none`: only `fields` do."""
    fields: tuple[Parameter, ...] = ()
    """What the protocol itself puts into the body, beside the parameters."""
    beside: tuple[str, ...] = ()
    """Names of those `fields` that stand beside the name under which the parameters are nested."""
    select: Mapping[str, Any] = field(default_factory=dict)
    """Parameter values by which this operation is chosen among those of one address."""
    unknown_fields: str = "unknown"
    """`refused`, `ignored` or `unknown`: what becomes of a key the contract does not know."""
    unknown_evidence: Evidence = Evidence(confidence=Confidence.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be asked of a host."""

    name: str
    does: Does
    request: Request
    alternatives: tuple[Alternative, ...]
    problems: tuple[str, ...] = ()
    """Names of the provider's problems that this operation may answer with."""
    auth: bool = True
    link: str | None = None
    """`status`, `result`, `cancel`: the address is handed out by the accepted reply under this name."""
    follow: str = "either"
    """`link` (the handed-out address must be used), `template` (rebuilt) or `either`."""
    says: str = ""
    evidence: Evidence = Evidence()
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True)
class State:
    """One of the host's own state words."""

    word: str
    status: Status
    initial: bool = False
    evidence: Evidence = Evidence()
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True)
class Move:
    """One transition between state words that the host documents."""

    before: str
    after: str
    evidence: Evidence = Evidence()
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True)
class Auth:
    """How a key is presented, and from where it may come."""

    header: str
    prefix: str = ""
    """What stands before the key (`Bearer `)."""
    env: str = ""
    """The environment variable that holds the key."""
    pattern: str = ""
    """What a key looks like; used to make ones that are well-formed but unknown."""
    evidence: Evidence = Evidence()
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True)
class Server:
    """One of the host's addresses, by the role it plays."""

    name: str
    url: str
    keyed: bool = False
    """Whether the key may be sent there."""
    evidence: Evidence = Evidence()
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time that the contract promises or advises. Seconds; None: nobody says."""

    seconds: float | None
    evidence: Evidence = Evidence()
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True)
class Retention:
    """How long things are kept after the job has ended."""

    record: Span = Span(None)
    """The job itself: after it, its id is answered with `after`."""
    media: Span = Span(None)
    after: str = "unknown_job"
    """Name of the problem that an expired id is answered with."""
    ttl: str | None = None
    """Parameter by which the caller shortens or lengthens the media's life."""


@dataclass(frozen=True, slots=True)
class Poll:
    """How the host asks to be polled. Seconds."""

    every: Span = Span(1.0)
    first: Span = Span(0.0)
    growth: Decimal = Decimal(1)
    """Factor from one wait to the next."""
    most: Span = Span(None)
    """Longest wait between two polls."""
    deadline: Span = Span(600.0)
    """When a caller should give up."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit on calls or on jobs in flight, per key."""

    name: str
    what: str
    """`calls` in a window, or `jobs` in flight."""
    most: int
    window: float | None = None
    """Seconds; None for jobs in flight."""
    operations: tuple[str, ...] = ()
    """Operations it counts; empty: all."""
    problem: str = "rate_limited"
    over: str = "refuse"
    """`refuse`, `queue` or `throttle`."""
    evidence: Evidence = Evidence()
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True)
class Term:
    """One summand of a price."""

    amount: Decimal
    per: str
    """`request`, `output`, or `item` (of the list parameter `of`)."""
    of: str | None = None
    beyond: int = 0
    """How many items are free of this term, counted from the first."""
    up_to: int | None = None
    """After how many items it stops."""
    when: Condition = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Price:
    """What one job costs, as a sum of terms in one unit."""

    unit: str
    terms: tuple[Term, ...]
    billed: Mapping[str, str] = field(default_factory=dict)
    """Outcome (a canonical status, or `refused`) to `full`, `zero`, `maybe` or `unknown`."""
    billed_evidence: Evidence = Evidence()
    rate: Mapping[str, Decimal] = field(default_factory=dict)
    """What one unit is worth in currencies, where somebody says."""
    rate_evidence: Evidence = Evidence(confidence=Confidence.UNKNOWN)
    evidence: Evidence = Evidence()
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True)
class SizeRule:
    """How large the picture is, under a condition. The first rule whose condition holds counts."""

    when: Condition = field(default_factory=dict)
    width: Any = None
    """A parameter's name, or a number of pixels."""
    height: Any = None
    ratio: str | None = None
    """A parameter whose value is a ratio such as `16:9`."""
    tolerance: Decimal = Decimal("0.03")
    """Allowed relative deviation of the ratio."""
    pixels: int = 1_048_576
    """About how many the mock makes when only the ratio is known."""
    evidence: Evidence = Evidence()
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True)
class FormatRule:
    """In which format the picture comes."""

    parameter: str | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    """The host's word to `png`, `jpeg` or `webp`."""
    fixed: str | None = None
    any_of: tuple[str, ...] = ()
    evidence: Evidence = Evidence()
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True)
class Relation:
    """A metamorphic promise: two requests and how their outputs compare."""

    name: str
    kind: str
    """`same` (equal pictures) or `different`."""
    first: Mapping[str, Any]
    second: Mapping[str, Any]
    """Changes to a base request; `{absent: true}` leaves the parameter out."""
    says: str = ""
    evidence: Evidence = Evidence()
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a finished job delivers."""

    media: str = "image"
    count: str | int = 1
    """A number, or the parameter that says how many."""
    format: FormatRule = FormatRule()
    quality: str | None = None
    sizes: tuple[SizeRule, ...] = ()
    seed: str | None = None
    server: str = "media"
    auth: bool = False
    relations: tuple[Relation, ...] = ()
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True)
class Example:
    """A sample request, with the reply that belongs to it where the page shows one."""

    name: str
    parameters: Mapping[str, Any]
    reply: Any = None
    operation: str = ""
    """The operation whose reply it shows."""
    alternative: str = ""
    breaks: tuple[str, ...] = ()
    """Which rules of its own page the sample breaks: names of parameters, `unasked:<field>` …"""
    says: str = ""
    evidence: Evidence = Evidence(confidence=Confidence.SAMPLE)
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True)
class Provocation:
    """A request that is valid and should end in trouble, so that trouble can be looked at."""

    status: Status
    parameters: Mapping[str, Any]
    says: str = ""
    evidence: Evidence = Evidence(confidence=Confidence.INFERRED)
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a job takes there, as somebody says: medians in seconds, for the mock and for plans."""

    queue: float = 0.2
    run: float = 1.0
    evidence: Evidence = Evidence(confidence=Confidence.UNKNOWN)
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True)
class Source:
    """A document that facts were taken from."""

    name: str
    title: str
    url: str = ""
    read: str = ""
    confidence: Confidence = Confidence.DOCUMENTED


@dataclass(frozen=True, slots=True)
class Gap:
    """A contradiction or an open question of the sources that no single node can carry."""

    name: str
    says: str
    evidence: Evidence = Evidence()
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True)
class Provider:
    """How a host talks, whichever model it is asked for."""

    name: str
    title: str
    servers: Mapping[str, Server]
    auth: Auth
    operations: Mapping[str, Operation]
    states: Mapping[str, State]
    problems: Mapping[str, Problem]
    moves: tuple[Move, ...] = ()
    listed: tuple[int, ...] = ()
    """The status codes in the host's own table of error codes."""
    listed_where: Where = NOWHERE
    retention: Retention = Retention()
    poll: Poll = Poll()
    limits: tuple[Limit, ...] = ()
    id_pattern: str = ""
    """What a job id looks like; used to make ones that are well-formed but unknown."""
    repeat_id: str = "new"
    """What a second submit under one client-made id does: `new` job, `conflict`, `same` job."""
    refused_at: str = "submit"
    """Where a bad parameter is refused: `submit` or `run` (the job then fails)."""
    refused_evidence: Evidence = Evidence()
    surfaces: Mapping[Status, str] = field(default_factory=dict)
    """Canonical statuses that this host shows under another word (`moderated` as `FAILED`)."""
    channels: Mapping[str, Any] = field(default_factory=dict)
    """Other transports (`websocket`), as data."""
    recipes: Mapping[str, Any] = field(default_factory=dict)
    """How published clients are pointed at another address, as data."""
    gaps: tuple[Gap, ...] = ()
    sources: Mapping[str, Source] = field(default_factory=dict)
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True)
class Canonical:
    """A parameter of a model, whoever hosts it."""

    name: str
    kind: str
    """`text`, `media`, `ratio`, `size`, `seed`, `switch`, `choice`, `number` or `count`."""
    says: str = ""
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True)
class Model:
    """What a model does, whoever hosts it."""

    name: str
    title: str
    capability: str
    """`text-to-image`, `edit`, `try-on` …"""
    parameters: Mapping[str, Canonical]
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True)
class Endpoint:
    """This model at this host: everything a caller has to know, in one value."""

    name: str
    """`segmind/p-image-edit`."""
    provider: Provider
    model: Model
    slug: str
    """How the host names the model in its addresses."""
    title: str
    parameters: Mapping[str, Parameter]
    rules: tuple[Rule, ...] = ()
    operations: Mapping[str, Operation] = field(default_factory=dict)
    """The provider's, with this endpoint's own changes."""
    outputs: Outputs = Outputs()
    price: Price | None = None
    timing: Timing = Timing()
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """Canonical parameters that this host has decided on: no parameter, one behaviour."""
    examples: tuple[Example, ...] = ()
    provocations: tuple[Provocation, ...] = ()
    gaps: tuple[Gap, ...] = ()
    sources: Mapping[str, Source] = field(default_factory=dict)
    where: Where = NOWHERE

    def doing(self, does: Does) -> Operation | None:
        """The first operation of that kind, or None."""
        return next((op for op in self.operations.values() if op.does is does), None)


# ------------------------------------------------------------------------------------- traffic


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it stands on the wire."""

    method: str
    url: str
    """Absolute."""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The first header of that name, whatever its case."""
        return _header(self.headers, name)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer as it stands on the wire."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The first header of that name, whatever its case."""
        return _header(self.headers, name)


def _header(headers: Sequence[tuple[str, str]], name: str) -> str | None:
    wanted = name.lower()
    return next((value for key, value in headers if key.lower() == wanted), None)


class Credential(StrEnum):
    """Which key a call carried; the key itself is never kept."""

    GOOD = "good"
    NONE = "none"
    MALFORMED = "malformed"
    UNKNOWN = "unknown"
    """Well-formed, but nobody's."""
    NEAR = "near"
    """Our own without its last character: nobody's."""
    BEYOND = "beyond"
    """Our own with its last character twice: nobody's."""
    CASED = "cased"
    """Our own with small letters for large ones and the other way round: nobody's."""
    OTHER = "other"
    """Somebody else's: good, but not the job's owner."""
    UNTOLD = "untold"
    """The recorder cannot say."""


ALMOST: Mapping[Credential, str] = {
    Credential.NEAR: "a key that lacks its last character",
    Credential.BEYOND: "a key that has its last character twice",
    Credential.CASED: "a key in other letters",
}
"""Keys that are almost ours, and what they are called."""

TWICE, TWICE_BLOCKING = "one id, second time", "one id, second time, to be waited for"
ONCE_OVER = "one id, when its job is over"
REUSED = frozenset({TWICE, TWICE_BLOCKING, ONCE_OVER})
"""Purposes of submits under an id that was used before."""

GIVEN_UP = "given up"
"""What broke a call that was not waited for any longer because our own time was over: no fault of the host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One call and what came of it: the record in the middle that everything is made of."""

    seq: int
    call: Call
    reply: Reply | None
    broke: str | None = None
    """What broke when there is no whole reply: `reset`, `timeout`, `truncated`, `refused` …"""
    at: float = 0.0
    """When the call was sent, seconds since the start of the run."""
    took: float = 0.0
    """Seconds until the reply was complete, or until it broke."""
    operation: str = ""
    """Name of the operation, `media` for a fetched output, empty when unrecognised."""
    job: str | None = None
    """Our own label for the job it belongs to; survives hosts that change ids."""
    credential: Credential = Credential.UNTOLD
    channel: str = "http"
    """`http`, `websocket`, `webhook`."""
    purpose: str = ""
    """What the sender wanted to see, in words (`width 1441: above maximum 1440`)."""
    output: int | None = None
    """Which output of the job a media fetch belongs to."""

    @property
    def meant(self) -> str:
        """The purpose, whether it was asked for the first time or once more."""
        return self.purpose.removesuffix(ONCE_MORE)


FOLLOWED = "what became of a forbidden request"
"""The purpose of asking after a job that should not have been made."""
GET_FOR_POST = "GET where POST is wanted"
"""The purpose of asking an address with a method that it does not know."""
ONCE_MORE = " (asked once more)"
"""What stands behind the purpose of a call that repeats one which was answered with a server error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One delivered thing: where it is, and what was learnt of it."""

    url: str | None = None
    data: bytes | None = None
    """The bytes, where they came inline or were fetched."""
    id: str | None = None
    content_type: str | None = None


# ------------------------------------------------------------------------------------- verdicts


class Severity(StrEnum):
    """How bad a finding is. Ordered by `rank`."""

    VIOLATION = "violation"
    """A documented promise is broken."""
    DRIFT = "drift"
    """It differs from an earlier record."""
    QUESTION = "question"
    """It differs from something that nobody promised."""

    @property
    def rank(self) -> int:
        return {"violation": 2, "drift": 1, "question": 0}[self.value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not as the contract says."""

    check: str
    """Id of the check that found it (`JOB002`)."""
    severity: Severity
    endpoint: str
    says: str
    expected: str = ""
    actual: str = ""
    where: Where = NOWHERE
    """Where the broken promise stands in the contract."""
    evidence: tuple[int, ...] = ()
    """Sequence numbers of the exchanges that show it."""
    subject: str = ""
    """What it is about, stable over runs (`width.maximum`, `state:WAITING`); part of its identity."""
    replay: str = ""
    """A curl line without secrets that shows it again."""

    @property
    def key(self) -> str:
        """The identity of a finding over runs: check, endpoint and subject."""
        return f"{self.check}:{self.endpoint}:{self.subject}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """One documented fact that a run can exercise, and whether this one did."""

    kind: str
    """`parameter`, `bound`, `value`, `rule`, `state`, `move`, `problem`, `operation`, `output`, `step` (of a plan)."""
    name: str
    where: Where = NOWHERE
    seen: bool = False
    why_not: str = ""
    evidence: tuple[int, ...] = ()
    price: Money | None = None
    """What testing it would cost by the price list, where it was not; None: no money buys it, or nobody says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a run amounts to. Summaries of one endpoint add up."""

    endpoint: str
    calls: int = 0
    jobs: int = 0
    """Accepted submits, which on a live host are paid."""
    seconds: float = 0.0
    """By the run's own clock."""
    spent: Money | None = None
    """Known spending: on a paid host what its ledger has settled, elsewhere by the price list. None where nothing is
    known."""
    held: Money | None = None
    """What the ledger keeps set aside besides, for it may have been charged; None: no ledger was kept."""
    unknown_spend: int = 0
    """Jobs whose cost nobody told."""
    stopped: str = ""
    """Why the run ended before its plan was done; empty: it did not."""

    def __add__(self, other: Summary) -> Summary:
        if self.endpoint != other.endpoint:
            raise ValueError(f"{self.endpoint} and {other.endpoint} do not add up")
        return Summary(
            endpoint=self.endpoint,
            calls=self.calls + other.calls,
            jobs=self.jobs + other.jobs,
            seconds=max(self.seconds, other.seconds),
            spent=_both(self.spent, other.spent),
            held=_both(self.held, other.held),
            unknown_spend=self.unknown_spend + other.unknown_spend,
            stopped=self.stopped or other.stopped,
        )


def _both(one: Money | None, other: Money | None) -> Money | None:
    if one is None or other is None:
        return one or other
    return one + other


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Everything a run says about one endpoint."""

    endpoint: str
    findings: tuple[Finding, ...] = ()
    coverage: tuple[Cover, ...] = ()
    summary: Summary
    notes: tuple[str, ...] = ()
    """What could not be told and why; what was seen and promised by nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A finished run: what was asked, what came of it. Written once; every report is a function of it."""

    id: str
    command: str
    """`check`, `client`, `judge`, `load` …"""
    target: str
    """`mock`, or the origin that was driven."""
    seed: int
    started: str
    """ISO 8601, UTC."""
    version: str
    verdicts: tuple[Verdict, ...] = ()
    exchanges: tuple[Exchange, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    folder: str = ""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, the gravest first."""
        found = [finding for verdict in self.verdicts for finding in verdict.findings]
        return tuple(sorted(found, key=lambda f: (-f.severity.rank, f.endpoint, f.check, f.subject)))
