"""Runs made by hand for the tests of the reports: a rich one, an empty one, a hostile one, a huge one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal

from wireproof.model import (
    NOWHERE,
    Call,
    Cover,
    Credential,
    Exchange,
    Finding,
    Reply,
    Run,
    Severity,
    Summary,
    Verdict,
    Where,
)
from wireproof.money import Money

STARTED = "2026-01-15T09:30:00+00:00"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x04\x00\x00\x00\x04\x00" + bytes(range(256)) * 8
JSON = (("content-type", "application/json"),)


def exchange(
    seq: int,
    operation: str,
    method: str,
    url: str,
    status: int | None,
    told: object = None,
    *,
    asked: object = None,
    at: float = 0.0,
    took: float = 0.12,
    job: str | None = None,
    broke: str | None = None,
    purpose: str = "",
    body: bytes | None = None,
    media: str = "application/json",
) -> Exchange:
    """One exchange; `told` and `asked` are JSON, `body` is raw."""
    whole = body if body is not None else json.dumps(told).encode()
    reply = None if status is None else Reply(status, (("content-type", media), ("server", "mock")), whole)
    sent = b"" if asked is None else json.dumps(asked).encode()
    headers = (("x-api-key", "SG_not_to_be_seen"), *JSON)
    return Exchange(
        seq=seq,
        call=Call(method, url, headers, sent),
        reply=reply,
        broke=broke,
        at=at,
        took=took,
        operation=operation,
        job=job,
        credential=Credential.GOOD,
        purpose=purpose,
    )


def segmind_job(seq: int, job: str, at: float, words: tuple[str, ...], last: int = 200) -> Iterator[Exchange]:
    """Submit, one poll per word, the result, the picture."""
    base = "https://api.segmind.com/v2"
    asked = {"prompt": "a lighthouse in fog, 35 mm", "aspect_ratio": "16:9", "seed": 42}
    links = {"request_id": job, "status_url": f"{base}/requests/{job}/status", "status": "QUEUED"}
    yield exchange(
        seq,
        "submit",
        "POST",
        f"{base}/p-image",
        202,
        links,
        asked=asked,
        at=at,
        took=0.21,
        job=job,
        purpose="the page's own example",
    )
    moment = at + 0.4
    for number, word in enumerate(words):
        told = {"request_id": job, "status": word}
        yield exchange(
            seq + 1 + number,
            "status",
            "GET",
            f"{base}/requests/{job}/status",
            last if number == len(words) - 1 else 200,
            told,
            at=moment,
            took=0.06 + 0.01 * number,
            job=job,
        )
        moment += 0.7 + 0.25 * number
    if last == 200:
        done = {"status": words[-1], "output": f"https://media.segmind.com/{job}.png"}
        yield exchange(seq + 1 + len(words), "result", "GET", f"{base}/requests/{job}", 200, done, at=moment, job=job)
        yield exchange(
            seq + 2 + len(words),
            "media",
            "GET",
            f"https://media.segmind.com/{job}.png",
            200,
            at=moment + 0.2,
            took=0.35,
            job=job,
            body=PNG,
            media="image/png",
        )


def traffic() -> tuple[Exchange, ...]:
    """Jobs that go well, fail, step back, and are asked for after an hour; and calls that go wrong."""
    base = "https://api.segmind.com/v2"
    return (
        *segmind_job(1, "job-1", 0.0, ("QUEUED", "QUEUED", "PROCESSING", "PROCESSING", "PROCESSING", "COMPLETED")),
        *segmind_job(20, "job-2", 1.0, ("QUEUED", "PROCESSING", "QUEUED", "PROCESSING", "COMPLETED")),
        *segmind_job(40, "job-3", 3.0, ("QUEUED", "PROCESSING", "FAILED"), last=422),
        *segmind_job(50, "job-4", 4.0, ("QUEUED", "WARMING_UP", "PROCESSING", "COMPLETED")),
        exchange(
            60,
            "status",
            "GET",
            f"{base}/requests/job-1/status",
            404,
            {"error": "not found"},
            at=3605.0,
            job="job-1",
        ),
        exchange(
            61,
            "submit",
            "POST",
            f"{base}/p-image",
            202,
            {"request_id": "x"},
            asked={"prompt": "x", "width": 1441},
            at=9.0,
            purpose="width 1441: above maximum 1440",
        ),
        exchange(
            62,
            "submit",
            "POST",
            f"{base}/p-image",
            None,
            broke="timeout",
            at=11.0,
            took=30.0,
            purpose="an idle connection",
        ),
        exchange(
            63,
            "status",
            "GET",
            f"{base}/requests/00000000/status",
            200,
            {"status": "COMPLETED"},
            at=12.0,
            purpose="an id that nobody ever had",
        ),
        exchange(
            64,
            "getResponse",
            "POST",
            "https://api.runware.ai/v1",
            200,
            {"data": [{"taskType": "imageInference", "taskUUID": "8f1e", "status": "processing"}]},
            asked=[{"taskType": "getResponse", "taskUUID": "8f1e"}],
            at=13.0,
            job="runware-1",
        ),
        exchange(
            65,
            "getResponse",
            "POST",
            "https://api.runware.ai/v1",
            200,
            {"data": [{"taskUUID": "8f1e", "status": "success", "cost": 0.0112}]},
            at=14.5,
            job="runware-1",
        ),
        exchange(
            66,
            "status",
            "GET",
            "https://pixeldojo.ai/api/v1/jobs/abc",
            502,
            at=15.0,
            body=b"<html><title>502 Bad Gateway</title></html>",
            media="text/html",
        ),
    )


def finding(
    number: int, severity: Severity = Severity.VIOLATION, endpoint: str = "segmind/p-image", **changes: object
) -> Finding:
    """A finding of its own key."""
    values: dict[str, object] = {
        "check": "PRM001",
        "severity": severity,
        "endpoint": endpoint,
        "says": f"finding {number}: a value outside the documented range was accepted",
        "expected": "400 with an error body",
        "actual": f"202, job {number} accepted",
        "where": Where("specs/segmind/p-image.yaml", 40 + number % 100, f"parameters.p{number}.maximum"),
        "evidence": (61,),
        "subject": f"p{number}.maximum",
        "replay": "curl -sS -X POST https://api.segmind.com/v2/p-image "
        f'-H "x-api-key: $SEGMIND_API_KEY" -d \'{{"p": {number}}}\'',
    }
    return Finding(**{**values, **changes})  # type: ignore[arg-type]


def covers(seen: int, unseen: int, file: str = "specs/segmind/p-image.yaml") -> tuple[Cover, ...]:
    """Facts of every kind, the first `seen` of them exercised."""
    kinds = ("operation", "parameter", "value", "bound", "state", "move", "problem", "output")
    reasons = (
        "no budget was given for this paid probe",
        "the host never did it in this run",
        "it needs a wait of 1 h by a real clock",
    )
    return tuple(
        Cover(
            kind=kinds[number % len(kinds)],
            name=f"{kinds[number % len(kinds)]}-{number}",
            where=Where(file, 10 + number, f"facts.{number}"),
            seen=number < seen,
            why_not="" if number < seen else reasons[number % len(reasons)],
            evidence=(1, 20, 40, 50) if number < seen and "segmind/p-image." in file else (),
        )
        for number in range(seen + unseen)
    )


def verdict(
    endpoint: str, findings: tuple[Finding, ...] = (), seen: int = 40, unseen: int = 0, **changes: object
) -> Verdict:
    """One endpoint's verdict."""
    summary = Summary(endpoint=endpoint, calls=120, jobs=9, seconds=16.2, spent=Money(Decimal("0.0792"), "USD"))
    values: dict[str, object] = {
        "endpoint": endpoint,
        "findings": findings,
        "coverage": covers(seen, unseen, f"specs/{endpoint}.yaml"),
        "summary": summary,
    }
    return Verdict(**{**values, **changes})  # type: ignore[arg-type]


def run(*verdicts: Verdict, exchanges: tuple[Exchange, ...] = (), **changes: object) -> Run:
    """A run of these verdicts."""
    values: dict[str, object] = {
        "id": "20260115-093000-check",
        "command": "check",
        "target": "mock",
        "seed": 7,
        "started": STARTED,
        "version": "0.1.0",
        "verdicts": verdicts,
        "exchanges": exchanges,
        "options": {"profile": "standard", "budget": Decimal("0.50")},
    }
    return Run(**{**values, **changes})  # type: ignore[arg-type]


def rich_run() -> Run:
    """Five endpoints: two that differ, two that conform, one that could not be told."""
    image = "segmind/p-image"
    wrong = (
        finding(
            1,
            says="width 1441 was accepted though the maximum is 1440",
            expected="400 with an error body",
            actual="202, a paid job was started",
            subject="width.maximum",
            evidence=(61,),
            where=Where("specs/segmind/p-image.yaml", 48, "parameters.width.maximum"),
        ),
        finding(
            2,
            check="JOB003",
            says="the job went back from PROCESSING to QUEUED",
            expected="states only move forward: QUEUED, PROCESSING, then COMPLETED or FAILED",
            actual="QUEUED, PROCESSING, QUEUED, PROCESSING, COMPLETED",
            subject="move:PROCESSING:QUEUED",
            evidence=(20, 22, 23, 24),
            where=Where("specs/segmind/protocol.yaml", 112, "moves"),
        ),
        finding(
            3,
            check="ERR004",
            says="an id that nobody ever had is answered with 200",
            expected="404",
            actual="200, state COMPLETED",
            subject="problem:unknown_job",
            evidence=(63,),
            where=Where("specs/segmind/protocol.yaml", 140, "problems.unknown_job"),
        ),
        finding(
            4,
            Severity.QUESTION,
            check="JOB001",
            says="the host says WARMING_UP, a state its page does not list",
            expected="QUEUED, PROCESSING, COMPLETED or FAILED",
            actual="WARMING_UP",
            subject="state:WARMING_UP",
            evidence=(52,),
        ),
        finding(
            5,
            Severity.DRIFT,
            check="LAT002",
            says="the median time to a usable picture has doubled since the last run",
            expected="1.9 s (run of 2026-01-08)",
            actual="4.1 s",
            subject="latency.p50",
            evidence=(),
            where=NOWHERE,
            replay="",
        ),
    )
    gone = (
        finding(
            6,
            endpoint="pixeldojo/p-image-edit",
            check="REP002",
            says="the reply is no JSON: 502 with an HTML page",
            expected="JSON with a status field",
            actual="text/html, 43 bytes",
            subject="reply:status",
            evidence=(66,),
            where=Where("specs/pixeldojo/protocol.yaml", 61, "operations.status.alternatives.state"),
        ),
        finding(
            7,
            Severity.QUESTION,
            endpoint="pixeldojo/p-image-edit",
            check="RET001",
            says="expiresAt did not change when the job completed: of the job, or of the media?",
            expected="",
            actual="2026-01-15T10:30:00Z both times",
            subject="retention.media",
            evidence=(66,),
            where=Where("specs/pixeldojo/protocol.yaml", 90, "retention.media"),
        ),
    )
    stopped = Summary(
        endpoint="segmind/p-image-try-on",
        calls=14,
        jobs=2,
        seconds=3.4,
        spent=Money(Decimal("0.030"), "USD"),
        unknown_spend=1,
        stopped="the budget of 0.03 USD was used up",
    )
    credits = Summary(
        endpoint="pixeldojo/p-image-edit",
        calls=90,
        jobs=6,
        seconds=15.5,
        spent=Money(Decimal(6), "credits"),
    )
    return run(
        verdict(
            image,
            wrong,
            seen=70,
            unseen=9,
            notes=("the `metrics` object of a finished job is promised by nobody: seen in 4 of 4",),
        ),
        verdict("segmind/p-image-edit", seen=61),
        verdict(
            "segmind/p-image-try-on",
            seen=12,
            unseen=38,
            summary=stopped,
            notes=("output_quality above 100 was not tried: 3 probes left when the budget ended",),
        ),
        verdict("runware/p-image-edit", seen=88, unseen=2),
        verdict("pixeldojo/p-image-edit", gone, seen=30, unseen=6, summary=credits),
        exchanges=traffic(),
    )


def huge_run(number: int = 10_000) -> Run:
    """So many findings that no page can hold them at once, each with an exchange of its own."""
    severities = (Severity.VIOLATION, Severity.QUESTION, Severity.DRIFT)
    endpoints = (
        "segmind/p-image",
        "segmind/p-image-edit",
        "segmind/p-image-try-on",
        "runware/p-image-edit",
        "pixeldojo/p-image-edit",
    )
    findings = [finding(n, severities[n % 3], endpoints[n % 5], evidence=(n + 1,)) for n in range(number)]
    exchanges = tuple(
        exchange(
            n + 1,
            "submit",
            "POST",
            "https://api.segmind.com/v2/p-image",
            202,
            {"request_id": f"{n:032x}", "status": "QUEUED"},
            asked={"prompt": f"picture {n}", "p": n},
            at=n / 10,
        )
        for n in range(number)
    )
    verdicts = (verdict(e, tuple(f for f in findings if f.endpoint == e)) for e in endpoints)
    return run(*verdicts, exchanges=exchanges)


def hostile_run(payload: str) -> Run:
    """The payload in every text that a host or a contract has a say in."""
    where = Where(payload, 3, payload)
    raw = payload.encode("utf-8", "surrogatepass")
    call = Call("POST", f"https://host.example/{payload}", ((payload, payload), ("x-name", payload)), raw)
    evil = Exchange(
        seq=1,
        call=call,
        reply=Reply(200, ((payload, payload), ("location", payload), ("content-type", payload)), raw),
        broke=payload,
        operation=payload,
        job=payload,
        purpose=payload,
        channel=payload,
    )
    told = Exchange(
        seq=2,
        call=call,
        reply=Reply(200, JSON, json.dumps({"status": payload}).encode()),
        job=payload,
        at=1.0,
    )
    bad = Finding(
        check=payload,
        severity=Severity.VIOLATION,
        endpoint=payload,
        says=payload,
        expected=payload,
        actual=payload,
        where=where,
        evidence=(1, 2),
        subject=payload,
        replay=payload,
    )
    unsure = Finding(check="JOB001", severity=Severity.QUESTION, endpoint=payload, says=payload)
    facts = (
        Cover(kind=payload, name=payload, where=where, why_not=payload),
        Cover(kind="state", name=payload, seen=True, evidence=(1,)),
    )
    summary = Summary(endpoint=payload, calls=2, jobs=1, spent=Money(Decimal(1), payload), stopped=payload)
    one = Verdict(endpoint=payload, findings=(bad, unsure), coverage=facts, summary=summary, notes=(payload,))
    return run(
        one,
        exchanges=(evil, told),
        id=payload,
        command=payload,
        target=payload,
        version=payload,
        options={payload: payload},
        folder=payload,
    )


PAYLOADS: tuple[str, ...] = (
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "--><img src=x onerror=alert(1)>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<math><mtext></mtext><mglyph><style><img src=x onerror=alert(1)>",
    '"><img src=x onerror=alert(1)>',
    "'><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "' onfocus='alert(1)' autofocus='",
    " onload=alert(1) ",
    'x" autofocus onfocus=alert(1) x="',
    "`onerror=alert(1)`",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    "\x01javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:msgbox(1)",
    "<a href=javascript:alert(1)>x</a>",
    "<a href='data:text/html;base64,PHNjcmlwdD4='>x</a>",
    "<iframe src=//evil.example>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<object data=//evil.example>",
    "<embed src=//evil.example>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>@import '//evil.example/x.css'</style>",
    "</style><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    "</noscript><img src=x onerror=alert(1)>",
    "</template><img src=x>",
    "<base href=//evil.example>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<form action=//evil.example><input type=submit>",
    "<button formaction=javascript:alert(1)>x</button>",
    "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)>",
    "<body onload=alert(1)>",
    "<input onfocus=alert(1) autofocus>",
    "<marquee onstart=alert(1)>",
    "<table background=javascript:alert(1)>",
    "<div style=background:url(javascript:alert(1))>",
    "<p style='width:expression(alert(1))'>",
    "<x/onclick=alert(1)>x",
    "<<script>alert(1)//<</script>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<script/src=data:,alert(1)>",
    "<?xml version='1.0'?><x/>",
    "<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>&e;",
    "]]>",
    "<![CDATA[x]]>",
    "&lt;script&gt;",
    "&#60;script&#62;",
    "&amp;lt;",
    "&nosuch;",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "{{ ''.__class__.__mro__ }}",
    "${alert(1)}",
    "#{7*7}",
    "\u2028alert(1)\u2029",
    "\x00",
    "a\x00b",
    "\x07\x08\x0b\x0c",
    "\x1b[31mred\x1b[0m",
    "\x1b]52;c;ZXZpbA==\x07",
    "\x1b]8;;http://evil.example\x07x\x1b]8;;\x07",
    "\x1b]0;title\x07",
    "\x1bP+q544e\x1b\\",
    "\x1b[2J\x1b[H",
    "\x1bc",
    "\x9b31m",
    "\x9d0;title\x9c",
    "\x90q\x9c",
    "\x7f\x80\x84\x85",
    "\u202egnp.exe",
    "\u2066x\u2069\u200f\u061c",
    "\u200b\u200d\ufeff",
    "\ud800",
    "\udfff x",
    "\ufffe\uffff",
    "line\r\nfeed\nand\rreturn",
    "\ttab\t",
    "[bold red]x[/]",
    "[link=http://evil.example]x[/link]",
    "[/]",
    ":bomb:",
    "![x](http://evil.example/p.png)",
    "[x](javascript:alert(1))",
    "[x]: http://evil.example\n[x]",
    "<http://evil.example>",
    "a | b | c",
    "a \\| b \\\\| c |",
    "```\n# heading\n```",
    "`` ` ```",
    "|---|---|\n| x | y |",
    "# heading\n- item\n> quote",
    "*b* _i_ ~~s~~ $x$ @someone #1",
    "::error file=x::y",
    "a%0A::warning::b",
    "::add-mask::x\n::set-env name=x::y",
    "file:a,b=c%25",
    "=cmd|' /C calc'!A0",
    "../../../etc/passwd",
    "C:\\windows\\x",
    "http://[::1",
    "http://user:pw@evil.example/?api_key=1",
    "x" * 6_000,
    "é ü 漢字 مرحبا 🙂",
    "",
    " ",
)
"""Texts that have broken reports of others, more than a hundred of them."""
