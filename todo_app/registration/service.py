"""How a company comes in: its first user registers it, and then shows that the address is theirs.

Until then the user cannot sign in. The mailed token needs the password, too: whoever opens a mail
that somebody else has asked for activates nothing for that person.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import sqlalchemy as sa

from todo_app import mails
from todo_app.accounts.models import User
from todo_app.accounts.passwords import UNUSABLE, check_password, hash_password, verify_password
from todo_app.audit.service import record
from todo_app.database import db
from todo_app.errors import ConflictError, UnauthenticatedError
from todo_app.hashing import in_turn
from todo_app.permissions.models import MASTER_ADMIN, Role
from todo_app.registration import members, one_time
from todo_app.registration.models import ACTIVATION, ADDRESS
from todo_app.sessions import throttle
from todo_app.sessions.service import Session, begin_session
from todo_app.tenancy import current_tenant, enter_new_tenant
from todo_app.tenants import service as tenants
from todo_app.tenants.models import DELETING, Tenant
from todo_app.two_factor.service import WrongCodeError, check_log_in

TAX_ID_LOCK = 7301008
"""First key of the advisory lock under which a company registers; the second is its tax id's."""


class CompanyExistsError(ConflictError):
    """Another tenant has this tax id."""

    code = "company-exists"
    detail = "This company is registered already: ask its administrator for an invitation."


class WrongPasswordError(UnauthenticatedError):
    """The token is good, and the password is not the one of its user."""

    code = "wrong-credentials"
    detail = "The password is wrong."


class Registration(NamedTuple):
    """What a registration has made."""

    tenant: Tenant
    user: User


def register(
    company: dict[str, str | None], person: dict[str, Any], public_url: str
) -> Registration:
    """Make a tenant and its first user, and mail the user what activates them.

    Args:
        company: `name` and further columns of the catalogue; `tax_id` in its compact form.
        person: columns of the user, and `password`.
        public_url: how clients reach the API, for the mail.

    Raises:
        CompanyExistsError: another tenant has the tax id.
        InvalidInputError: the password is not good enough.
        BusyError: too many sign in at this moment.
    """
    words = (person["email"], person["first_name"], person["last_name"], company["name"] or "")
    check_password(person["password"], words, ("user", "password"))
    # Before the first statement: where no Idempotency-Key has begun a transaction, none is open.
    password_hash = in_turn(hash_password, person["password"])
    tenant, user = found_company(company, person, password_hash, is_active=False)
    mailed = one_time.make(user.id, ACTIVATION)
    mails.send(
        "activation",
        user.email,
        user.language,
        name=user.first_name,
        company=tenant.name,
        token=mailed.token,
        until=mailed.until,
        url=public_url,
        tenant=tenant.slug,
    )
    record(None, "company.registered", ("user", user.uuid))
    return Registration(tenant, user)


def found_company(
    company: dict[str, str | None], person: dict[str, Any], password_hash: str, *, is_active: bool
) -> Registration:
    """Make a tenant and its first user, who is its master administrator.

    Args:
        company: `name` and further columns of the catalogue.
        person: columns of the user; a `password` among them is left out.
        password_hash: of the user.
        is_active: whether the user is known to be who they say.

    Raises:
        CompanyExistsError: another tenant has the tax id.
    """
    if company.get("tax_id"):
        _check_new(str(company["tax_id"]))
    tenant = tenants.create(**company)  # type: ignore[arg-type]
    enter_new_tenant(tenant.schema_name)
    user = User(
        **{name: value for name, value in person.items() if name != "password"},
        password_hash=password_hash,
        role=db.session.scalars(sa.select(Role).where(Role.name == MASTER_ADMIN)).one(),
        is_active=is_active,
        is_verified=is_active,
    )
    db.session.add(user)
    db.session.flush()
    db.session.refresh(user)
    if is_active:
        members.note(user.email)
    return Registration(tenant, user)


def found_for(
    company: dict[str, str | None], person: dict[str, Any], public_url: str
) -> Registration:
    """Make a tenant on an operator's behalf, and tell its first user by mail.

    The user has no password, and asks for a mail to set one: that activates the account.

    Args:
        company, public_url: as in `register`.
        person: columns of the user.

    Raises:
        SlugTakenError, HostTakenError, InvalidInputError
    """
    tenant, user = found_company(company, person, UNUSABLE, is_active=False)
    # Never mailed: it says that the user is yet to be activated.
    one_time.make(user.id, ACTIVATION)
    values = {"company": tenant.name, "url": public_url, "tenant": tenant.slug}
    mails.send("account_made", user.email, user.language, name=user.first_name, **values)
    record(None, "company.registered", ("user", user.uuid))
    return Registration(tenant, user)


def first_run(token_digest: bytes, password: str, code: str | None) -> Session:
    """Confirm an address by its mailed token and the password, and sign its user in.

    Args:
        token_digest: of the mailed token.
        password: the one that was chosen when registering, or the user's own.
        code: of the second factor, for a user who has one.

    Raises:
        InvalidTokenError: the token is not good, or not any more.
        WrongPasswordError: the password is wrong; the token stays good.
        SecondFactorNeededError, WrongCodeError: the same of the second factor.
        TooManyAttemptsError: too many have failed lately.
        BusyError: too many sign in at this moment.
    """
    found = one_time.owner(token_digest, ACTIVATION, ADDRESS)
    tenant = current_tenant().schema_name
    # The transaction ends before the slow part, so that hashing holds no connection.
    db.session.rollback()
    attempt = throttle.attempt(found.email, tenant)
    try:
        if not in_turn(verify_password, found.password_hash, password):
            raise WrongPasswordError
        user, purpose = one_time.use(token_digest, ACTIVATION, ADDRESS)
        _confirm(user, purpose, found.password_hash)
        check_log_in(user.id, code)
    except (WrongPasswordError, WrongCodeError):
        raise
    except BaseException:
        attempt.forgive()
        raise
    attempt.succeeded()
    return begin_session(user.id)


def _confirm(user: User, purpose: str, password_hash: str) -> None:
    """Note that the address is the user's, if nothing has changed while the hash was made."""
    if user.password_hash != password_hash:
        raise WrongPasswordError
    if purpose == ACTIVATION:
        user.is_active = True
    elif not user.is_active:
        raise one_time.InvalidTokenError
    user.is_verified = True
    db.session.flush()
    members.note(user.email)
    record(None, "user.verified", ("user", user.uuid))


def _check_new(tax_id: str) -> None:
    """Check that no tenant has this tax id; two who register it at one instant come in turn."""
    lock = sa.func.pg_advisory_xact_lock(TAX_ID_LOCK, sa.func.hashtext(tax_id))
    db.session.execute(sa.select(lock))
    compact = sa.func.upper(sa.func.regexp_replace(Tenant.tax_id, r"[\s./-]+", "", "g"))
    statement = sa.select(Tenant.id).where(compact == tax_id, Tenant.state != DELETING).limit(1)
    if db.session.scalar(statement) is not None:
        raise CompanyExistsError
