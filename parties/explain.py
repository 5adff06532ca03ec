"""Who learns what: a protocol's own statement, laid out for people."""

from __future__ import annotations

from parties.cards import fingerprint
from protocols.catalog import checked
from protocols.plan import Plan
from protocols.spec import Reveal


def reveals_of(plan: Plan) -> tuple[Reveal, ...]:
    spec, params = checked(plan)
    return tuple(spec.reveals(plan, params))


def disclosure(plan: Plan) -> str:
    """The plan in words: what approvers read, and what ``explain`` prints."""
    spec, params = checked(plan)
    lines = [f"{spec.name} revision {spec.revision}: {spec.summary}"]
    lines.append(f"adversary: {spec.adversary.value}")
    if plan.message.purpose:
        lines.append(f"purpose: {plan.message.purpose}")
    lines.append("")
    for party in plan.message.parties:
        brings = party.input
        columns = f", columns {', '.join(brings.columns)}" if brings.columns else ""
        lines.append(f"{party.name} ({party.role}, {fingerprint(party.signing_key)})")
        lines.append(
            f"  brings {brings.dataset} by {', '.join(brings.keys)} ({brings.normalizer})"
            f"{columns}; {brings.min_rows:,} to {brings.max_rows:,} identifiers"
        )
        learnt = [reveal for reveal in spec.reveals(plan, params) if reveal.who == party.name]
        for reveal in learnt:
            lines.append(f"  learns {reveal.text}")
            if reveal.caution:
                lines.append(f"    note: {reveal.caution}")
        if not learnt:
            lines.append("  learns nothing")
    cost = spec.cost(plan, params)
    lines.append("")
    lines.append(
        f"at most {_bytes(cost.bytes)} on all links, about {cost.core_seconds:,.1f} seconds of one "
        "core in all"
    )
    return "\n".join(lines)


def _bytes(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable")
