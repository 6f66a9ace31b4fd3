"""Agreements: their values, the form that people edit, the signed chain, and loading what was signed."""

from lightship.core.agreement.values import (
    AUDIT_RETENTION_DAYS,
    GRACE,
    Agreement,
    AgreementStatus,
    Member,
)

__all__ = ["AUDIT_RETENTION_DAYS", "GRACE", "Agreement", "AgreementStatus", "Member"]
