"""What a company's administrators set for all of its people."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from todo_app.database import Base, TimestampMixin, VersionMixin


class CompanySettings(TimestampMixin, VersionMixin, Base):
    """The one row of a company's settings; it comes with the schema."""

    __tablename__ = "company_settings"
    __table_args__ = (sa.CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    require_two_factor: Mapped[bool] = mapped_column(server_default=sa.false())
    language: Mapped[str] = mapped_column(server_default="en-US")
    timezone: Mapped[str] = mapped_column(server_default="UTC")
    audit_keep_days: Mapped[int] = mapped_column(server_default="365")
