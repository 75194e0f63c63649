"""The OpenAPI document, put together when somebody asks for it."""

from __future__ import annotations

import threading
from typing import Any

import flask_smorest
from apispec import APISpec

from todo_app import examples
from todo_app.blueprint import Blueprint


class Api(flask_smorest.Api):  # type: ignore[misc]
    """flask-smorest's `Api`, which describes routes at the first look into `spec`.

    Describing takes as long as all other parts of starting together, and most processes (commands,
    workers, beat) are never asked for the document.
    """

    # The renderer of errors is `errors`, and every route documents those that it gives.
    DEFAULT_ERROR_RESPONSE_NAME = None

    def __init__(self, app: Any) -> None:
        self._undescribed: list[Blueprint] = []
        self._describing = threading.RLock()
        super().__init__(app)
        examples.init_api(self)

    def register_blueprint(self, blp: Blueprint) -> None:
        """Register the routes of a blueprint; their description waits."""
        self._app.extensions["flask-smorest"]["blp_name_to_api"][blp.name] = self
        self._app.register_blueprint(blp)
        self._undescribed.append(blp)

    def add_token_kind(self, name: str, description: str) -> None:
        """Describe a kind of bearer token, to which guards refer by its name."""
        scheme = {"type": "http", "scheme": "bearer", "description": description}
        self._spec.components.security_scheme(name, scheme)

    @property
    def spec(self) -> APISpec:
        """The description of all routes that are registered by now."""
        # Describing a route looks in here, too.
        with self._describing:
            while self._undescribed:
                blueprint = self._undescribed.pop(0)
                name, spec = blueprint.name, self._spec
                blueprint.register_views_in_doc(self, self._app, spec, name=name, parameters=None)
                spec.tag({"name": name, "description": blueprint.description})
        return self._spec

    @spec.setter
    def spec(self, spec: APISpec) -> None:
        self._spec = spec
