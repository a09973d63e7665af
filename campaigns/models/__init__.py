"""触达: one module for each topic; import the models from here."""

from campaigns.models.ledger import SendTask, StepBlocked, Touch, TouchKey
from campaigns.models.policy import TouchPolicy
from campaigns.models.sops import Enrolment, Sop, SopStep

__all__ = ["Enrolment", "SendTask", "Sop", "SopStep", "StepBlocked", "Touch", "TouchKey", "TouchPolicy"]
