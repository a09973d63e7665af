"""触达: one module for each topic; import the models from here."""

from campaigns.models.ledger import SendTask, StepBlocked, Touch, TouchKey
from campaigns.models.policy import TouchPolicy
from campaigns.models.sops import Enrolment, Sop, SopStep
from campaigns.models.tasks import StaffTask

__all__ = [
    "Enrolment",
    "SendTask",
    "Sop",
    "SopStep",
    "StaffTask",
    "StepBlocked",
    "Touch",
    "TouchKey",
    "TouchPolicy",
]
