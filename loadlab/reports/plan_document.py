"""A plan as plain values, for programs: what is unknown is None."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from loadlab.planner import Part, Plan
from loadlab.planner.answer import what_to_measure
from loadlab.planner.autoscale import Course
from loadlab.planner.breakeven import BreakEven
from loadlab.planner.capacity import summary_words
from loadlab.planner.criteria import promise
from loadlab.planner.holdout import holdout, summary
from loadlab.reports.plan import aid_words, answer, course_usd_per_month, course_usd_per_mtok


def document(plan: Plan) -> dict[str, Any]:
    """Plain values; what is unknown is None."""
    return {
        "answer": answer(plan),
        "asked": plan.ask.document(),
        "slo": promise(plan.criteria),
        "peak": plan.demand.peak,
        "peak_unit": plan.demand.unit,
        "peak_from": plan.demand.words,
        "mean_per_s": plan.demand.mean,
        "replicas": plan.replicas,
        "replicas_fewest": plan.fewest,
        "gpus": plan.gpus,
        "nodes": plan.nodes,
        "utilisation": plan.utilisation,
        "usd_per_hour": plan.usd_per_hour,
        "usd_per_month": plan.usd_per_month,
        "usd_per_mtok_output_at_peak": plan.usd_per_mtok(),
        "usd_per_mtok_output_over_mean": plan.usd_per_mtok(plan.mean_share) if plan.mean_share else None,
        "kwh_per_month_at_peak": plan.kwh_per_month,
        "parts": [_part(part) for part in plan.parts],
        "policies": [_course(plan, course) for course in plan.courses],
        "break_even": _even(plan.even) if plan.even else None,
        "no_break_even": plan.no_even or None,
        "levers": [lever._asdict() for lever in plan.levers],
        "beside": aid_words(plan),
    }


def _part(part: Part) -> dict[str, Any]:
    sized = part.sized
    return {
        "share": part.share,
        "model": part.measured.spec.endpoint.model,
        "target": part.measured.spec.endpoint.name,
        "runs": list(part.measured.runs),
        "loads": [step.load for step in part.measured.stable],
        "capacity": summary_words(part.found),
        "replicas": sized.replicas,
        "replicas_fewest": sized.fewest,
        "per_replica": {
            "unit": sized.unit,
            "low": sized.per_replica,
            "point": sized.point,
            "high": sized.high,
        },
        "load_per_replica": sized.load,
        "utilisation": sized.utilisation,
        "utilisation_without_spare": sized.degraded,
        "latencies_ms": dict(sized.latencies),
        "gpus_per_replica": sized.gpus_per_replica,
        "price": asdict(sized.price) if sized.price else None,
        "unpriced": sized.unpriced or None,
        "prompt_tokens": sized.prompt_tokens,
        "output_tokens": sized.output_tokens,
        "watt_per_replica": sized.watt_per_replica,
        "doubts": [*sized.doubts, *part.found.doubts],
        "left_out_error": _left_out(part),
        "measure_next": what_to_measure(part),
    }


def _left_out(part: Part) -> dict[str, float] | None:
    found = summary(holdout(part.measured))
    return None if found is None else {"median": found[0], "p90": found[1]}


def _course(plan: Plan, course: Course) -> dict[str, Any]:
    return {
        "policy": course.policy,
        "replicas_min": int(course.serving.min()),
        "replicas_max": int(course.serving.max()),
        "replica_hours_per_day": course.replica_hours / course.hours * 24,
        "usd_per_month": course_usd_per_month(plan, course),
        "usd_per_mtok_output": course_usd_per_mtok(plan, course),
        "over_slo_share": course.over_slo,
        "longest_wait_s": course.longest_wait_s,
    }


def _even(even: BreakEven) -> dict[str, Any]:
    return {
        "api": even.api.name,
        "mtok_per_month": even.mtok_per_month,
        "own_usd_per_month": even.own_usd,
        "api_usd_per_month": even.api_usd,
        "own_usd_per_mtok": even.own_usd_per_mtok,
        "api_usd_per_mtok": even.api_usd_per_mtok,
        "own_first_cheaper_mtok": even.first_cheaper,
        "own_cheaper_from_mtok": even.cheaper_from,
        "assumed": even.assumed,
    }
