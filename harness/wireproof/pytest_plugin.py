"""The pytest plugin: a mock of any contract in a test, and a verdict on what the test's client sent.

    @pytest.mark.wireproof("segmind/p-image", scenario="poll-502")
    def test_my_client_survives_a_gateway(wireproof_mock):
        with httpx.Client(transport=wireproof_mock.transport, base_url=wireproof_mock.url) as http:
            assert my_client(http, key=wireproof_mock.key)

Every test run of everybody who installed us loads this module: nothing of ours is imported before a
fixture is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from wireproof.audit import Session
    from wireproof.model import Endpoint, Exchange

MARKER = "wireproof"
_HELP = (
    "wireproof(spec, *, scenario=None, scenarios=None, mood=None, seed=None, step=None, time_scale=None, strict=None): "
    "the contract that the wireproof fixtures serve, and what happens there"
)
_TAKES = {"scenario", "scenarios", "mood", "seed", "step", "time_scale", "strict"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup(MARKER).addoption(
        "--wireproof-seed",
        type=int,
        default=None,
        metavar="N",
        help="Seed of the wireproof mocks (ini: wireproof_seed, 0).",
    )
    parser.addini("wireproof_seed", "Seed of the wireproof mocks.", default="0")
    parser.addini(
        "wireproof_spec", "The contract that is served where a test names none (`segmind/p-image`).", default=""
    )
    parser.addini("wireproof_strict", "A request that breaks the contract fails its test.", type="bool", default=True)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _HELP)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "wireproof_scenario" not in metafunc.fixturenames:
        return
    from wireproof.mock.scenario import choose

    wanted = _said(metafunc.definition).get("scenarios") or "all"
    names = wanted if isinstance(wanted, str) else ",".join(wanted)
    metafunc.parametrize("wireproof_scenario", [one.name for one in choose(names)], indirect=True)


@pytest.fixture
def wireproof_scenario(request: pytest.FixtureRequest) -> str:
    """The name of the scenario of this test: it is run once for each that its marker names under `scenarios`."""
    return str(request.param)


@pytest.fixture
def wireproof_mock(request: pytest.FixtureRequest) -> Iterator[Session]:
    """The mock of the test's contract: `transport`, `async_transport`, `url`, `key`, `clock`, `journal`, `findings`.

    At the end of the test it fails for every request that breaks the contract, unless `strict=False`.
    """
    session = _session(request)
    yield session
    said = _said(request.node)
    if said.get("strict", request.config.getini("wireproof_strict")):
        assert_conforms(session)


@pytest.fixture
def wireproof_transport(wireproof_mock: Session) -> Any:
    """An `httpx` transport that asks the mock: `httpx.Client(transport=…, base_url=wireproof_mock.url)`."""
    return wireproof_mock.transport


@pytest.fixture
def wireproof_async_transport(wireproof_mock: Session) -> Any:
    """The same for `httpx.AsyncClient`."""
    return wireproof_mock.async_transport


@pytest.fixture
def wireproof_httpx2_transport(wireproof_mock: Session) -> Any:
    """The same for clients of `httpx2`, the maintained successor of `httpx`, where it is installed."""
    return wireproof_mock.httpx2_transport


@pytest.fixture
def wireproof_route(wireproof_mock: Session) -> Iterator[Any]:
    """A `respx` route: while the test runs, httpx calls to `wireproof_mock.url` are answered by the mock."""
    from wireproof.mock.route import answering

    session = wireproof_mock
    with answering(session.url, session, clock=session.clock, on_exchange=session.hear) as route:
        yield route


@pytest.fixture
def wireproof_server(wireproof_mock: Session) -> Iterator[str]:
    """The address of a socket on this machine that serves the mock, for clients of any kind."""
    with wireproof_mock.serving() as url:
        yield url


def assert_conforms(journal: Session | Iterable[Exchange], endpoint: Endpoint | None = None) -> None:
    """Fail the test unless everything in the journal is as the contract has it.

    `journal` is the `wireproof_mock` of a test, or exchanges together with the `endpoint` they belong to.
    """
    __tracebackhide__ = True
    from wireproof.audit import Session, explain, heard

    session = journal if isinstance(journal, Session) else heard(journal, _wanted(endpoint))
    findings = session.refusals
    if findings:
        pytest.fail(
            f"the client does not keep the contract {session.endpoint.name}\n\n{explain(session, findings)}",
            pytrace=False,
        )


def _wanted(endpoint: Endpoint | None) -> Endpoint:
    if endpoint is None:
        raise TypeError("assert_conforms(exchanges) also needs the endpoint that they belong to")
    return endpoint


def _said(node: Any) -> dict[str, Any]:
    """What the nearest marker says; the contract under `spec`."""
    mark = node.get_closest_marker(MARKER)
    if mark is None:
        return {}
    unknown = set(mark.kwargs) - _TAKES - {"spec"}
    if unknown or len(mark.args) > 1:
        raise pytest.UsageError(
            f"the marker wireproof takes one contract and {', '.join(sorted(_TAKES))}; not {sorted(unknown)}"
        )
    return {**({"spec": mark.args[0]} if mark.args else {}), **mark.kwargs}


def _session(request: pytest.FixtureRequest) -> Session:
    from wireproof.audit import Session
    from wireproof.clock import ScaledClock
    from wireproof.mock.moods import mood
    from wireproof.mock.scenario import NotHere, choose

    said = _said(request.node)
    named = said.get("scenario") or _parameter(request)
    scale, wish = said.get("time_scale"), said.get("mood")
    try:
        return Session(
            _endpoint(request, said),
            scenario=choose(named)[0] if named else None,
            mood=mood(wish) if isinstance(wish, str) else wish,
            seed=_seed(request.config, said),
            step=said.get("step"),
            clock=ScaledClock(scale) if scale else None,
        )
    except NotHere as why:
        pytest.skip(f"{named}: {why}")


def _parameter(request: pytest.FixtureRequest) -> str | None:
    wanted = "wireproof_scenario" in request.fixturenames
    return str(request.getfixturevalue("wireproof_scenario")) if wanted else None


def _endpoint(request: pytest.FixtureRequest, said: dict[str, Any]) -> Endpoint:
    from wireproof.spec.load import resolve

    spec = said.get("spec") or request.config.getini("wireproof_spec")
    if not spec:
        raise pytest.UsageError(
            'say which contract is served: @pytest.mark.wireproof("segmind/p-image"), or ini wireproof_spec'
        )
    found = resolve(str(spec), request.config.rootpath)
    if len(found) != 1:
        raise pytest.UsageError(f"{spec} means {len(found)} endpoints: {', '.join(one.name for one in found)}")
    return found[0]


def _seed(config: pytest.Config, said: dict[str, Any]) -> int:
    asked = config.getoption("--wireproof-seed")
    return int(asked if asked is not None else said.get("seed", config.getini("wireproof_seed")))
