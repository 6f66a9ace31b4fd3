"""Agreements: their values, the form that people edit, the signed chain, and loading what was signed."""

from lightship.core.agreement.chain import PAYLOAD_TYPE, BadChain, Chain, Verify
from lightship.core.agreement.form import parse_toml
from lightship.core.agreement.load import load_chain, load_payload
from lightship.core.agreement.problems import BadAgreement
from lightship.core.agreement.values import (
    AUDIT_RETENTION_DAYS,
    GRACE,
    Agreement,
    AgreementStatus,
    Member,
)

__all__ = [
    "AUDIT_RETENTION_DAYS",
    "GRACE",
    "PAYLOAD_TYPE",
    "Agreement",
    "AgreementStatus",
    "BadAgreement",
    "BadChain",
    "Chain",
    "Member",
    "Verify",
    "load_chain",
    "load_payload",
    "parse_toml",
]
