"""What people are told of later."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from todo_app.database import Base


class HeldNotice(Base):
    """An entry of the timeline that somebody is told of when their quiet hours are over."""

    __tablename__ = "held_notices"

    user_id: Mapped[int] = mapped_column(
        sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    activity_id: Mapped[int] = mapped_column(
        sa.ForeignKey("activity.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    until: Mapped[datetime]
