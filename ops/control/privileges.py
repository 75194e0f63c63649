"""What the API's role, and a tenant's role, may do in the control plane. Nothing else is granted.

The API reads and writes the catalogue, but can neither create nor alter a schema: a new tenant's
comes from `claim_schema`, a function that belongs to operations.
"""

API_PRIVILEGES = (
    "SELECT ON public.alembic_version",
    "SELECT, INSERT, UPDATE ON public.tenants",
    "EXECUTE ON FUNCTION public.claim_schema(text)",
    "EXECUTE ON FUNCTION public.enter_tenant(text, text, text, text, boolean, bytea)",
    "EXECUTE ON FUNCTION public.enter_tenant_as(text, text, text, text, boolean, bytea)",
    "SELECT, INSERT, DELETE ON public.members",
    "INSERT ON public.outbox",
    # For metrics; what is in a message stays unreadable.
    "SELECT (created_at, delivered_at, failed_at) ON public.outbox",
    "SELECT, INSERT, UPDATE ON public.ops_runs",
    "SELECT, INSERT, UPDATE ON public.ops_run_items",
    "SELECT ON public.tenant_checks",
    "SELECT, INSERT, UPDATE ON public.backup_sets",
    "SELECT ON public.archives",
    "SELECT ON public.tenant_keys",
    "SELECT ON public.replaced_schemas",
    "SELECT ON public.firings",
    "SELECT ON public.operators",
    "INSERT ON public.operator_audit",
    "SELECT, INSERT, UPDATE, DELETE ON public.idempotency_keys",
)

TENANT_PRIVILEGES = (
    "INSERT ON public.outbox",
    # Of these a tenant's role sees its own rows alone.
    "SELECT, INSERT, DELETE ON public.members",
)
