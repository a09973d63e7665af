"""Shapes of the API of broadcasts: what comes in, what goes out."""

from rest_framework import serializers

from campaigns.policy_api import EffectOut
from campaigns.services.broadcasts import broadcasts, winners
from scrm.api_body import Body, Id


class ContentIn(Body):
    """One content: a text and attachments, or what the library has in force under `content_id`."""

    text = serializers.CharField(required=False, allow_blank=True, max_length=4000)
    attachments = serializers.ListField(child=serializers.DictField(), required=False, max_length=9)
    content_id = Id(required=False)
    weight = serializers.IntegerField(required=False, min_value=1, max_value=100, default=1)


class WaveIn(Body):
    at = serializers.DateTimeField(
        required=False, allow_null=True, help_text="nothing: at the launch, for the first wave"
    )
    after = serializers.ChoiceField(choices=broadcasts.AFTER, required=False, default="")
    condition = serializers.JSONField(required=False)


class TestIn(Body):
    """How the contents are compared; see docs/broadcasts.md."""

    goal = serializers.ChoiceField(choices=list(winners.GOALS), required=False)
    hours = serializers.IntegerField(required=False)
    least = serializers.IntegerField(required=False)
    confidence = serializers.IntegerField(required=False, help_text="per cent")
    percent = serializers.IntegerField(required=False, help_text="of the audience; the rest gets the winner")
    auto = serializers.BooleanField(required=False)
    wait_hours = serializers.IntegerField(required=False)


class BroadcastIn(Body):
    """A draft. `audience` is {"segment": id}, {"condition": {…}} or {"contacts": [ids]}."""

    name = serializers.CharField(max_length=60)
    audience = serializers.JSONField()
    contents = ContentIn(many=True)
    waves = WaveIn(many=True, required=False)
    priority = serializers.IntegerField(required=False, default=5)
    hold_out_percent = serializers.IntegerField(required=False, default=0)
    late_hours = serializers.IntegerField(required=False, default=48)
    repeat = serializers.ChoiceField(choices=broadcasts.REPEATS, required=False, default="")
    repeat_until = serializers.DateTimeField(required=False, allow_null=True)
    test = TestIn(required=False, allow_null=True)


class NumbersOut(serializers.Serializer):
    n = serializers.IntegerField(help_text="planned, with a guide")
    n_sent = serializers.IntegerField()
    n_failed = serializers.IntegerField()
    n_cancelled = serializers.IntegerField()
    n_waiting = serializers.IntegerField()
    n_opened = serializers.IntegerField()
    n_replied = serializers.IntegerField()
    n_converted = serializers.IntegerField()
    converted_fen = serializers.IntegerField()
    n_tasks = serializers.IntegerField()
    n_confirmed = serializers.IntegerField()


class ContentOut(serializers.Serializer):
    id = serializers.IntegerField()
    letter = serializers.CharField()
    weight = serializers.IntegerField()
    text = serializers.CharField()
    attachments = serializers.ListField(child=serializers.DictField())
    content_version_id = serializers.IntegerField(allow_null=True, help_text="of the library")
    numbers = NumbersOut(required=False)


class WaveOut(serializers.Serializer):
    id = serializers.IntegerField()
    n = serializers.IntegerField()
    at = serializers.DateTimeField()
    state = serializers.CharField(help_text="waiting | held | planned | done | skipped")
    wanted = serializers.IntegerField()
    held_back = serializers.DictField(child=serializers.IntegerField(), help_text="{reason: people}")
    error = serializers.CharField()
    rest_of = serializers.IntegerField(
        allow_null=True, help_text="the wave whose people wait for their guides' next free day"
    )
    numbers = NumbersOut(required=False)


class BroadcastOut(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    state = serializers.CharField(help_text="draft | approval | on | paused | done | cancelled")
    priority = serializers.IntegerField()
    hold_out_percent = serializers.IntegerField()
    late_hours = serializers.IntegerField()
    audience = serializers.JSONField()
    repeat = serializers.JSONField()
    test = serializers.JSONField()
    winner_id = serializers.IntegerField(allow_null=True, help_text="a content of it")
    winner_by = serializers.CharField(help_text="rule | time | whoever chose it")
    created_at = serializers.DateTimeField()
    launched_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    numbers = NumbersOut()


class KeptOut(serializers.Serializer):
    n = serializers.IntegerField(help_text="messages that guides do not have yet")
    first = serializers.DateTimeField(help_text="when the first of them go to WeCom")
    last = serializers.DateTimeField()


class BroadcastWhole(BroadcastOut):
    """With its contents and waves, each with its figures."""

    contents = ContentOut(many=True)
    waves = WaveOut(many=True)
    kept = KeptOut(
        allow_null=True, help_text="by quiet hours or guides' full days while it is on; null: nothing"
    )
    effect = EffectOut(
        allow_null=True, help_text="of its hold-out; null where nobody is held out, or before a wave"
    )


class LoadOut(serializers.Serializer):
    """A guide's part of a dry run; of 50 guides at most, those with most people."""

    staff_id = serializers.IntegerField()
    name = serializers.CharField()
    n_tasks = serializers.IntegerField()
    n = serializers.IntegerField(help_text="people")
    confirmed_ratio = serializers.FloatField(help_text="of such tasks lately")
    n_already = serializers.IntegerField(
        help_text="send tasks, moments and tasks on that day without this one"
    )
    n_people = serializers.IntegerField(help_text="customers in those send tasks")


class DryRunOut(serializers.Serializer):
    """What a launch at this moment would do; nothing is written."""

    at = serializers.DateTimeField(help_text="when it would go out: quiet hours hold it")
    wanted = serializers.IntegerField()
    is_held = serializers.BooleanField(help_text="quiet hours put it off to `at`")
    problem = serializers.CharField(
        help_text="why a launch would be refused now: content expires before a wave, a wave is over; or empty"
    )
    warnings = serializers.ListField(
        child=serializers.CharField(),
        help_text="what would not do what is meant: asking who opened a content without a tracked link",
    )
    planned = serializers.IntegerField()
    contents = serializers.DictField(child=serializers.IntegerField(), help_text="{letter: people}")
    held_back = serializers.DictField(child=serializers.IntegerField(), help_text="{reason: people}")
    gives_way = serializers.IntegerField(help_text="planned messages of lower campaigns that are taken back")
    n_guides = serializers.IntegerField()
    n_tasks = serializers.IntegerField()
    guides = LoadOut(many=True)
    over_limit = serializers.IntegerField(
        help_text="guides with more to do or more customers on that day, all together, than the settings warn of"
    )
    waits_until = serializers.DateTimeField(
        allow_null=True,
        help_text="when those held back as `guide_busy` are tried again; null where they are left out",
    )
    work_s = serializers.IntegerField(help_text="seconds of guides' work to confirm everything")
    expected = serializers.IntegerField(help_text="people who get it if guides confirm as they did")
    left_per_person = serializers.FloatField(
        help_text="mass messages of WeCom's allowance left afterwards, on average; what guides send to many in WeCom "
        "by themselves counts there as well and is not known beforehand"
    )


class DryRunPeopleOut(serializers.Serializer):
    contact_ids = serializers.ListField(child=serializers.IntegerField(), help_text="200 at most")
    next = serializers.CharField(required=False, help_text="`after` of the next page; left out on the last")


class WinnerIn(Body):
    content_id = serializers.IntegerField(min_value=1, help_text="`id` of a content of this broadcast")
