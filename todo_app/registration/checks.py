"""What is asked of a company's tax id, and of the address of whoever comes in."""

from __future__ import annotations

import re

import marshmallow as ma
from disposable_email_domains import blocklist
from stdnum import get_cc_module
from stdnum.exceptions import ValidationError

from todo_app.schemas import String

_GREECE = "EL"
"""Its prefix is not its country's code, GR, which people use nevertheless."""
_NOT_COUNTRIES = ("EU",)
_SEPARATORS = re.compile(r"[\s./-]+")
_FORM = re.compile(r"[A-Z]{2}[A-Z0-9]{2,30}", re.ASCII)


class TaxId(String):
    """A company's tax id with its country's prefix; comes out compact, as in PL5260250274."""

    def _deserialize(self, value: object, attr: str | None, data: object, **kwargs: object) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        try:
            return compact_tax_id(text)
        except ValueError as error:
            raise ma.ValidationError(str(error)) from None


def compact_tax_id(text: str) -> str:
    """A tax id without separators, in upper case, with its country's prefix.

    Raises:
        ValueError: no country has such ids; the text says what is wrong.
    """
    compact = _SEPARATORS.sub("", text).upper()
    if compact.startswith("GR"):
        compact = _GREECE + compact[2:]
    prefix, rest = compact[:2], compact[2:]
    module = None
    if _FORM.fullmatch(compact) and prefix not in _NOT_COUNTRIES:
        module = get_cc_module("gr" if prefix == _GREECE else prefix.lower(), "vat")
    if module is None:
        raise ValueError("Must begin with the prefix of its country, as in PL5260250274.")
    # Some countries count the prefix as a part of the number.
    for number in (compact, rest):
        try:
            bare = module.validate(number)
        except ValidationError:
            continue
        return bare if bare.startswith(prefix) else prefix + bare
    raise ValueError(f"Not a tax id of {prefix}: its form or its check digit is wrong.")


def is_lasting_address(email: str) -> None:
    """Refuse an address at a domain, or below one, that gives out mailboxes for minutes."""
    labels = email.rpartition("@")[2].lower().split(".")
    if any(".".join(labels[start:]) in blocklist for start in range(len(labels) - 1)):
        raise ma.ValidationError("Mailboxes that exist for a while only are not accepted.")
