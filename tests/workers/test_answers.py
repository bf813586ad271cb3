"""What people read in Discord, as pure functions; judged by Discord's own rules (DC2)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.records import Experience, Request
from db.states import Status
from tests.e2e.discord.mentions import _EVERYONE, _ROLE, _USER
from tests.e2e.discord.rules.checks import enforce
from tests.e2e.discord.rules.messages import MESSAGE
from workers import answers
from workers.answers import Video

ID = UUID("0b0b0b0b-1111-4222-8333-444444444444")
NOW = datetime(2026, 11, 21, tzinfo=UTC)
CODES = [
    *("filtered", "refused", "prompt_refused", "invalid_request", "model_unavailable", "setup"),
    *("provider_error", "busy", "timeout", "no_video", "storage", None),
]

REQUEST = Request(
    id=ID,
    user_id="123456789012345678",
    guild_id="1",
    channel_id="2",
    prompt="a red fox",
    duration_seconds=8,
    aspect_ratio="16:9",
    resolution="1080p",
    generate_audio=True,
    status=Status.COMPLETED,
    operation_name=None,
    created_at=NOW,
    started_at=NOW,
    completed_at=NOW,
    duration_ms=42_300,
    gcs_prefix=None,
    video_urls=["file:///srv/videos/0b0b/sample_0.mp4"],
    error_message=None,
    provider="sandbox",
    model="sandbox",
    cost_usd=Decimal("3.20"),
    counted=True,
    error_code=None,
    claim=None,
    claimed_at=None,
    due_at=None,
    attempts=0,
    delivery_due_at=None,
    delivery_attempts=1,
    delivered_at=None,
    source_id=None,
    billed=True,
    archived_at=None,
    deleted_at=None,
    forgotten_at=None,
    rescues=0,
    delivery_claim=None,
    negative_prompt=None,
    seed=None,
    fair_at=NOW,
)


def failed(code: str | None, message: str = "It went wrong.", **changes: Any) -> Request:
    return replace(
        REQUEST,
        status=Status.FAILED,
        error_code=code,
        error_message=message,
        video_urls=None,
        **changes,
    )


def test_a_finished_video() -> None:
    assert answers.answer(REQUEST)["content"] == (
        "<@123456789012345678> your video is ready.\n"
        "> \u2068a red fox\u2069\n"
        "-# 8 s · 16:9 · 1080p · audio on · took 42.3 s · $3.20"
    )
    free = answers.answer(replace(REQUEST, cost_usd=Decimal(0)))["content"]
    assert free.endswith("took 42.3 s")


def test_what_was_asked_for_besides_is_told() -> None:
    request = replace(
        REQUEST, provider="veo", model="veo-3.1", seed=7, negative_prompt="people, *rain*"
    )
    assert answers.answer(request)["content"].endswith(
        "-# 8 s · 16:9 · 1080p · audio on · veo-3.1 · seed 7 · "
        "without \u2068people, \\*rain\\*\u2069 · took 42.3 s · $3.20"
    )


def test_a_video_that_is_not_attached_is_linked_where_a_link_is_of_use() -> None:
    too_large = answers.answer(REQUEST, Video.TOO_LARGE)["content"]
    assert (
        f"It is too large to be attached. It is kept; an operator finds it by its number: `{ID}`"
        in (too_large)
    )
    assert "/srv/" not in too_large
    link = "https://videos.example/0b0b.mp4"
    linked = answers.answer(REQUEST, Video.ELSEWHERE, link)["content"]
    assert f"It could not be attached: [Watch the video](<{link}>)\n" in linked
    endless = answers.answer(REQUEST, Video.ELSEWHERE, link + "x" * 2000)["content"]
    assert "finds it by its number" in endless
    kept = replace(REQUEST, video_urls=["gs://videos/0b0b/sample_0.mp4"])
    later = answers.answer(kept, Video.TOO_LARGE)["content"]
    assert f"no link to it can be made right now: ask `/video` for `{ID}` later" in later
    assert "gs://" not in later


def test_a_signed_link_fits_beside_any_prompt() -> None:
    link = "https://storage.example/video.mp4?" + "x" * (answers.LONGEST_LINK - 34)
    long = replace(REQUEST, prompt="@" * 600, cost_usd=Decimal("9999.99"))
    message = answers.answer(long, Video.TOO_LARGE, link)
    enforce(MESSAGE, message)
    # Nothing had to be cut off.
    assert f"(<{link}>)" in message["content"]
    assert message["content"].endswith("$9,999.99")


@pytest.mark.parametrize("code", CODES)
def test_a_failure_says_why_and_what_would_help(code: str | None) -> None:
    message = answers.answer(failed(code, billed=False))
    assert message["content"].startswith(
        "<@123456789012345678> your video was not made. \u2068It went wrong.\u2069\n"
    )
    assert len(message["content"].splitlines()) == 4
    assert message["content"].endswith("nothing was billed")
    [row] = message["components"]
    assert [each["label"] for each in row["components"]] == ["Retry"]
    enforce(MESSAGE, message)


def test_a_late_video_comes_with_an_apology_and_the_buttons_of_any_video() -> None:
    timed_out = replace(
        failed("timeout", "Generation timed out after 5 minutes"),
        status=Status.TIMEOUT,
        video_urls=REQUEST.video_urls,
        duration_ms=300_000,
    )
    message = answers.late(timed_out, "5 minutes")
    assert message["content"] == (
        "<@123456789012345678> your video took longer than 5 minutes, but here it is. "
        "Sorry for the wait!\n"
        "> \u2068a red fox\u2069\n"
        "-# 8 s · 16:9 · 1080p · audio on · $3.20"
    )
    assert message["components"] == answers.answer(REQUEST)["components"]
    assert message["allowed_mentions"] == {"parse": [], "users": ["123456789012345678"]}
    enforce(MESSAGE, message)
    elsewhere = answers.late(timed_out, "5 minutes", Video.ELSEWHERE)["content"]
    assert f"an operator finds it by its number: `{ID}`" in elsewhere
    # The first answer knows nothing of it, should it come after.
    assert "your video was not made" in answers.answer(timed_out)["content"]


def test_a_user_who_is_none_of_discords_is_not_mentioned() -> None:
    message = answers.answer(replace(REQUEST, user_id="cli"))
    assert message["content"].startswith("Your video is ready.")
    assert message["allowed_mentions"] == {"parse": [], "users": []}


anything = st.one_of(
    st.text(max_size=600),
    st.text(alphabet="\\*_~`|>#[]()<@:+-\n", max_size=600),
    st.sampled_from(["@everyone ", "<@1>", "<@&1>", "😀", "\u202e", "👨\u200d👩\u200d👧"]).map(
        lambda each: (each * 600)[:600]
    ),
)


@given(
    prompt=anything,
    without=anything,
    reason=anything,
    video=st.sampled_from(Video),
    code=st.sampled_from(CODES),
)
def test_whatever_is_asked_it_fits_and_mentions_one(
    prompt: str, without: str, reason: str, video: Video, code: str | None
) -> None:
    asked: dict[str, Any] = {"prompt": prompt, "negative_prompt": without}
    done = answers.answer(replace(REQUEST, **asked), video)
    broken = answers.answer(replace(failed(code, reason), **asked))
    refused = answers.refusal(REQUEST.user_id, "All 5 videos of the last 24 hours are used.")
    for message in (done, broken, refused):
        enforce(MESSAGE, message)
        content = message["content"]
        # However Discord counts.
        assert len(content.encode("utf-16-le")) // 2 <= answers.LONGEST
        assert content.startswith(f"<@{REQUEST.user_id}> ")
        assert message["allowed_mentions"] == {"parse": [], "users": [REQUEST.user_id]}
        assert _USER.findall(content) == [REQUEST.user_id]
        assert not _ROLE.search(content)
        assert not _EVERYONE.search(content)
        # What begins within the quotation ends with it.
        assert content.count("\u2068") == content.count("\u2069")
        assert not set(content) & set("\u202a\u202b\u202d\u202e\u2066\u2067")
        assert len(content.splitlines()) <= 5


@pytest.mark.parametrize(
    ("status", "seconds", "experience", "said"),
    [
        (
            Status.PENDING,
            3,
            None,
            "⏳ Queued: waiting for the video service.",
        ),
        (Status.GENERATING, 0.4, None, "🎬 Your video is being made: just started."),
        (
            Status.GENERATING,
            40,
            Experience(70.2, 131.0, ()),
            "🎬 Your video is being made: started 40 s ago. Of the latest videos like it, half "
            "took up to 70 s, 19 of 20 up to 2 min 11 s.",
        ),
        (
            Status.GENERATING,
            150,
            Experience(70.0, 110.0, ()),
            "🎬 Your video is being made: started 2 min 30 s ago. Of the latest videos like it, "
            "half took up to 70 s, 19 of 20 up to 110 s. This one takes longer than most.",
        ),
    ],
)
def test_dc2_progress_says_what_is_known(
    status: Status, seconds: float, experience: Experience | None, said: str
) -> None:
    message = answers.progress(status, timedelta(seconds=seconds), experience)
    assert message == {"content": said, "allowed_mentions": {"parse": []}}
