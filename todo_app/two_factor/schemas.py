"""Shapes of second factors."""

from __future__ import annotations

import marshmallow as ma

from todo_app.schemas import Schema, String, Time

MAX_CODE_LENGTH = 40


def code_field(**kwargs: object) -> String:
    """A code of the second factor, or a recovery code."""
    return String(
        min_length=1,
        max_length=MAX_CODE_LENGTH,
        load_only=True,
        metadata={
            "example": "123456",
            "description": "Of the device, or one of the recovery codes.",
        },
        **kwargs,
    )


class TwoFactorSchema(Schema):
    is_on = ma.fields.Boolean(required=True)
    confirmed_at = Time(required=True, allow_none=True)
    recovery_codes_left = ma.fields.Integer(required=True, metadata={"example": 10})
    is_required = ma.fields.Boolean(
        required=True, metadata={"description": "Whether the company asks for it."}
    )


class EnrolmentSchema(Schema):
    secret = ma.fields.String(
        required=True, metadata={"example": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"}
    )
    uri = ma.fields.String(
        required=True,
        metadata={
            "description": "What a QR code for authenticator apps shows.",
            "example": "otpauth://totp/Acme:ada%40acme.com?secret=JBSWY3DP&issuer=Acme",
        },
    )


class ConfirmSchema(Schema):
    code = code_field(required=True)


class RecoveryCodesSchema(Schema):
    recovery_codes = ma.fields.List(
        ma.fields.String(metadata={"example": "MFRG-GZDF-MZTW-Q2LK"}), required=True
    )
