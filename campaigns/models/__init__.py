"""触达: one module for each topic; import the models from here."""

from campaigns.models.alerts import Alert, AlertMessage, AlertPolicy, AlertRule
from campaigns.models.broadcasts import Broadcast, Variant, Wave, WaveSet
from campaigns.models.ledger import DirectUse, SendTask, StepBlocked, Touch, TouchKey, TouchOrder
from campaigns.models.moments import Moment, MomentGuide
from campaigns.models.policy import Cap, NoContactRule, Refusal, TouchPolicy
from campaigns.models.sop_requests import SopRequest
from campaigns.models.sops import (
    Enrolment,
    EnrolmentDue,
    EntryMark,
    NodeFlow,
    NodeTrouble,
    Sop,
    SopCall,
    SopStep,
    SopVersion,
)
from campaigns.models.tasks import GuideNotice, StaffTask, TaskDelay, TaskPolicy

__all__ = [
    "Alert",
    "AlertMessage",
    "AlertPolicy",
    "AlertRule",
    "Broadcast",
    "Cap",
    "DirectUse",
    "Enrolment",
    "EnrolmentDue",
    "EntryMark",
    "GuideNotice",
    "Moment",
    "MomentGuide",
    "NoContactRule",
    "NodeFlow",
    "NodeTrouble",
    "Refusal",
    "SendTask",
    "Sop",
    "SopCall",
    "SopRequest",
    "SopStep",
    "SopVersion",
    "StaffTask",
    "StepBlocked",
    "TaskDelay",
    "TaskPolicy",
    "Touch",
    "TouchKey",
    "TouchOrder",
    "TouchPolicy",
    "Variant",
    "Wave",
    "WaveSet",
]
