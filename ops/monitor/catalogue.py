"""Describes schemas from PostgreSQL's own catalogue, so that equal schemas give equal rows.

The schema's name is left out of all definitions, and its role is called by what it is. Left out too
is what a revision does not decide: the order of columns, storage parameters, comments, statistics.

A schema's objects are found through `pg_depend`, which has an index for it. `pg_class` has none by
schema, so that to ask it for one tenant would read the tables of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa

ATTRIBUTES = {
    "schema": ("owner", "privileges"),
    "tenant's role": ("attributes",),
    "membership": ("options",),
    "table": ("definition", "owner", "row security", "privileges"),
    "view": ("definition", "owner", "options", "privileges"),
    "materialized view": ("definition", "owner", "options", "privileges"),
    "sequence": ("definition", "owner", "column", "privileges"),
    "column": (
        "type",
        "nullability",
        "default",
        "identity",
        "generation",
        "collation",
        "privileges",
    ),
    "constraint": ("definition", "enforcement"),
    "index": ("definition", "validity"),
    "trigger": ("definition", "state"),
    "rule": ("definition", "state"),
    "policy": ("definition",),
    "function": ("definition", "owner", "privileges"),
    "type": ("definition", "owner", "privileges"),
    "future": ("privileges",),
}
"""What the details of each kind of object mean, in the order in which the query gives them."""


class Object(NamedTuple):
    """One object of a schema, as the query gives it."""

    kind: str
    name: str
    part_of: str
    """Kind and name of the object that it belongs to and vanishes with; may be empty."""
    details: list[str]


def _role(oid: str) -> str:
    return (
        f"CASE pg_get_userbyid({oid}) WHEN s.schema THEN 'the tenant''s role'"
        f" ELSE pg_get_userbyid({oid})::text END"
    )


def _privileges(acl: str, owner: str) -> str:
    """A line for each privilege of anybody but the owner."""
    return f"""CASE WHEN {acl} IS NULL THEN '' ELSE array_to_string(ARRAY(
        SELECT x.privilege_type || CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
               || ' for ' || CASE x.grantee WHEN 0 THEN 'everybody' ELSE {_role("x.grantee")} END
          FROM aclexplode({acl}) AS x WHERE x.grantee <> {owner} ORDER BY 1
    ), chr(10)) END"""  # noqa: S608 (made of constants)


def _plain(definition: str) -> str:
    """A definition without the schema's name, which PostgreSQL writes before everything."""
    return f"replace({definition}, s.prefix, '')"


_STATE = "CASE {0} WHEN 'O' THEN 'enabled' WHEN 'D' THEN 'disabled' ELSE {0}::text END"

_OBJECTS = f"""
WITH place AS MATERIALIZED (
    SELECT n.oid, n.nspname AS schema, quote_ident(n.nspname) || '.' AS prefix, n.nspowner, n.nspacl
      FROM pg_namespace AS n WHERE n.nspname = ANY (CAST(:schemas AS text[]))
), member AS MATERIALIZED (
    SELECT p.schema, p.prefix, d.classid, d.objid
      FROM place AS p
      JOIN pg_depend AS d ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = p.oid
), relation AS MATERIALIZED (
    SELECT m.schema, m.prefix, c.oid, c.relname::text, c.relkind, c.relpersistence, c.relowner,
           c.relacl, c.relrowsecurity, c.relforcerowsecurity, c.reloptions, c.relispartition,
           c.relpartbound,
           CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                WHEN 'S' THEN 'sequence' ELSE 'table' END AS kind
      FROM member AS m JOIN pg_class AS c ON c.oid = m.objid
     WHERE m.classid = 'pg_class'::regclass
), described AS (
    SELECT s.schema, text 'schema' AS kind, text '' AS name, text '' AS part_of,
           ARRAY[{_role("s.nspowner")}, {_privileges("s.nspacl", "s.nspowner")}] AS details
      FROM place AS s
    UNION ALL
    SELECT s.schema, 'tenant''s role', '', '',
           ARRAY[concat_ws(', ', CASE WHEN r.rolsuper THEN 'SUPERUSER' END,
                CASE WHEN r.rolinherit THEN 'INHERIT' ELSE 'NOINHERIT' END,
                CASE WHEN r.rolcanlogin THEN 'LOGIN' ELSE 'NOLOGIN' END,
                CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END,
                CASE WHEN r.rolcreatedb THEN 'CREATEDB' END,
                CASE WHEN r.rolreplication THEN 'REPLICATION' END,
                CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END)]
      FROM place AS s JOIN pg_roles AS r ON r.rolname = s.schema
    UNION ALL
    -- What operations themselves may do with the role depends on how it was made: left out.
    SELECT s.schema, 'membership',
           'of ' || {_role("m.member")} || ' in ' || {_role("m.roleid")}, '',
           ARRAY[(to_jsonb(m) - '{{oid,roleid,member,grantor}}'::text[])::text]
      FROM place AS s
      JOIN pg_roles AS r ON r.rolname = s.schema
      JOIN pg_auth_members AS m ON r.oid IN (m.member, m.roleid)
     WHERE pg_get_userbyid(m.member) <> current_user
    UNION ALL
    SELECT s.schema, s.kind, s.relname, '', ARRAY[
           concat_ws(' ', CASE s.relpersistence WHEN 'u' THEN 'unlogged' END,
               CASE s.relkind WHEN 'p' THEN 'partitioned by ' || pg_get_partkeydef(s.oid)
                    WHEN 'f' THEN 'foreign' ELSE 'table' END,
               CASE WHEN s.relispartition THEN pg_get_expr(s.relpartbound, s.oid) END),
           {_role("s.relowner")},
           CASE WHEN s.relforcerowsecurity THEN 'forced ' ELSE '' END
               || CASE WHEN s.relrowsecurity THEN 'on' ELSE 'off' END,
           {_privileges("s.relacl", "s.relowner")}]
      FROM relation AS s WHERE s.kind = 'table'
    UNION ALL
    SELECT s.schema, s.kind, s.relname, '', ARRAY[
           {_plain("pg_get_viewdef(s.oid)")}, {_role("s.relowner")},
           coalesce(array_to_string(s.reloptions, ', '), 'none'),
           {_privileges("s.relacl", "s.relowner")}]
      FROM relation AS s WHERE s.relkind IN ('v', 'm')
    UNION ALL
    SELECT s.schema, s.kind, s.relname,
           coalesce('column ' || c.relname || '.' || a.attname, ''), ARRAY[
           concat_ws(' ', format_type(q.seqtypid, NULL), 'from', q.seqstart, 'by', q.seqincrement,
               'within', q.seqmin, 'to', q.seqmax, 'cache', q.seqcache,
               CASE WHEN q.seqcycle THEN 'cycle' END),
           {_role("s.relowner")}, coalesce(c.relname || '.' || a.attname, 'none'),
           {_privileges("s.relacl", "s.relowner")}]
      FROM relation AS s
      JOIN pg_sequence AS q ON q.seqrelid = s.oid
      LEFT JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid
           AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
      LEFT JOIN pg_class AS c ON c.oid = d.refobjid
      LEFT JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
     WHERE s.relkind = 'S'
    UNION ALL
    SELECT s.schema, 'column', s.relname || '.' || a.attname, 'table ' || s.relname, ARRAY[
           {_plain("format_type(a.atttypid, a.atttypmod)")},
           CASE WHEN a.attnotnull THEN 'NOT NULL' ELSE 'NULL' END,
           -- With a table, pg_get_expr would open and lock it; only generated columns need that.
           coalesce({
    _plain('''pg_get_expr(
               d.adbin, CASE a.attgenerated WHEN '' THEN 0 ELSE a.attrelid END)''')
}, 'none'),
           CASE a.attidentity WHEN 'a' THEN 'ALWAYS' WHEN 'd' THEN 'BY DEFAULT' ELSE 'none' END,
           CASE a.attgenerated WHEN 's' THEN 'STORED' WHEN 'v' THEN 'VIRTUAL' ELSE 'none' END,
           CASE WHEN a.attcollation IN (0, 'pg_catalog."default"'::regcollation) THEN 'default'
                ELSE {_plain("a.attcollation::regcollation::text")} END,
           {_privileges("a.attacl", "s.relowner")}]
      FROM relation AS s
      JOIN pg_attribute AS a ON a.attrelid = s.oid AND a.attnum > 0 AND NOT a.attisdropped
      LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE s.kind = 'table'
    UNION ALL
    -- NOT NULL is a constraint from PostgreSQL 18 on; here it is a property of the column.
    SELECT s.schema, 'constraint', c.conname || ' on ' || s.relname, 'table ' || s.relname, ARRAY[
           {_plain("pg_get_constraintdef(c.oid)")},
           -- Counted, as EXISTS may be answered by reading the triggers of all tenants.
           CASE WHEN c.contype = 'f' AND 0 < (
               SELECT count(*) FROM pg_trigger AS t
                WHERE t.tgconstraint = c.oid AND t.tgenabled <> 'O'
           ) THEN 'disabled' ELSE 'enabled' END]
      FROM relation AS s JOIN pg_constraint AS c ON c.conrelid = s.oid
     WHERE c.contype <> 't' AND (c.contype <> 'n' OR NOT c.convalidated)
    UNION ALL
    SELECT s.schema, 'index', x.relname || ' on ' || s.relname,
           coalesce('constraint ' || c.conname || ' on ' || s.relname, s.kind || ' ' || s.relname),
           ARRAY[
           CASE WHEN c.oid IS NULL THEN {_plain("pg_get_indexdef(i.indexrelid)")}
                ELSE 'of the constraint' END,
           CASE WHEN i.indisvalid AND i.indisready AND i.indislive THEN 'valid'
                ELSE 'invalid' END]
      FROM relation AS s
      JOIN pg_index AS i ON i.indrelid = s.oid
      JOIN pg_class AS x ON x.oid = i.indexrelid
      LEFT JOIN pg_constraint AS c ON c.conrelid = i.indrelid AND c.conindid = i.indexrelid
           AND c.contype IN ('p', 'u', 'x')
    UNION ALL
    SELECT s.schema, 'trigger', t.tgname || ' on ' || s.relname, s.kind || ' ' || s.relname, ARRAY[
           {_plain("pg_get_triggerdef(t.oid)")}, {_STATE.format("t.tgenabled")}]
      FROM relation AS s JOIN pg_trigger AS t ON t.tgrelid = s.oid AND NOT t.tgisinternal
    UNION ALL
    SELECT s.schema, 'rule', w.rulename || ' on ' || s.relname, s.kind || ' ' || s.relname, ARRAY[
           {_plain("pg_get_ruledef(w.oid)")}, {_STATE.format("w.ev_enabled")}]
      FROM relation AS s JOIN pg_rewrite AS w ON w.ev_class = s.oid AND w.rulename <> '_RETURN'
    UNION ALL
    SELECT s.schema, 'policy', p.polname || ' on ' || s.relname, 'table ' || s.relname, ARRAY[
           concat_ws(' ', CASE WHEN NOT p.polpermissive THEN 'RESTRICTIVE' END,
               'FOR', CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT'
                    WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
               'TO', array_to_string(ARRAY(
                   SELECT CASE x WHEN 0 THEN 'everybody' ELSE {_role("x")} END
                     FROM unnest(p.polroles) AS x ORDER BY 1), ', '),
               'USING', {_plain("pg_get_expr(p.polqual, p.polrelid)")},
               'WITH CHECK', {_plain("pg_get_expr(p.polwithcheck, p.polrelid)")})]
      FROM relation AS s JOIN pg_policy AS p ON p.polrelid = s.oid
    UNION ALL
    SELECT s.schema, 'function', p.proname
           || '(' || {_plain("pg_get_function_identity_arguments(p.oid)")} || ')', '', ARRAY[
           CASE p.prokind WHEN 'a' THEN 'aggregate'
                ELSE {_plain("pg_get_functiondef(p.oid)")} END,
           {_role("p.proowner")},
           {_privileges("coalesce(p.proacl, acldefault('f', p.proowner))", "p.proowner")}]
      FROM member AS s JOIN pg_proc AS p ON p.oid = s.objid
     WHERE s.classid = 'pg_proc'::regclass
    UNION ALL
    SELECT s.schema, 'type', t.typname::text, '', ARRAY[
           concat_ws(' ',
               CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'r' THEN 'range'
                    WHEN 'c' THEN 'composite' ELSE t.typtype::text END,
               array_to_string(ARRAY(
                   SELECT e.enumlabel FROM pg_enum AS e WHERE e.enumtypid = t.oid
                    ORDER BY e.enumsortorder), ', '),
               CASE t.typtype WHEN 'd' THEN {_plain("format_type(t.typbasetype, t.typtypmod)")} END,
               CASE WHEN t.typnotnull THEN 'NOT NULL' END,
               'DEFAULT ' || t.typdefault,
               array_to_string(ARRAY(
                   SELECT c.conname || ' ' || {_plain("pg_get_constraintdef(c.oid)")}
                     FROM pg_constraint AS c WHERE c.contypid = t.oid AND c.contype <> 'n'
                    ORDER BY 1), ', '),
               (SELECT {_plain("format_type(g.rngsubtype, NULL)")}
                  FROM pg_range AS g WHERE g.rngtypid = t.oid),
               array_to_string(ARRAY(
                   SELECT a.attname || ' ' || {_plain("format_type(a.atttypid, a.atttypmod)")}
                     FROM pg_attribute AS a
                    WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
                    ORDER BY a.attnum), ', ')),
           {_role("t.typowner")},
           {_privileges("coalesce(t.typacl, acldefault('T', t.typowner))", "t.typowner")}]
      FROM member AS s JOIN pg_type AS t ON t.oid = s.objid
     WHERE s.classid = 'pg_type'::regclass
    UNION ALL
    SELECT s.schema, 'future',
           CASE a.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences'
                WHEN 'f' THEN 'functions' WHEN 'T' THEN 'types' ELSE a.defaclobjtype::text END
               || ' of ' || {_role("a.defaclrole")}, '',
           ARRAY[{_privileges("a.defaclacl", "0::oid")}]
      FROM member AS s JOIN pg_default_acl AS a ON a.oid = s.objid
     WHERE s.classid = 'pg_default_acl'::regclass
    UNION ALL
    SELECT s.schema, o.type, {_plain("o.identity")}, '', '{{}}'::text[]
      FROM member AS s, pg_identify_object(s.classid, s.objid, 0) AS o
     WHERE s.classid NOT IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_type'::regclass,
                             'pg_default_acl'::regclass)
)
"""  # noqa: S608 (made of constants)

_DIGESTS = sa.text(
    _OBJECTS  # noqa: S608 (made of constants)
    + """SELECT schema, md5(string_agg(
        concat_ws(chr(10), kind, name, part_of, details::text), chr(10)
        ORDER BY kind COLLATE "C", name COLLATE "C")) AS digest
      FROM described GROUP BY schema"""
)

_ROWS = sa.text(
    _OBJECTS + "SELECT kind, name, part_of, details FROM described"  # noqa: S608 (constants)
)

_PREPARE = sa.text(
    # Every name is written out in definitions where the path holds no other schema.
    "SELECT set_config('search_path', 'pg_catalog', true),"
    " set_config('lock_timeout', '1s', true), set_config('statement_timeout', '60s', true),"
    # The planner knows nothing of the few rows that it starts from: it would read the catalogue
    # of all tenants, or compile the query first.
    " set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),"
    " set_config('enable_mergejoin', 'off', true), set_config('jit', 'off', true)"
)


def prepare(connection: sa.Connection) -> None:
    """Make the settings that `digests` and `describe` need, until the transaction ends.

    Args:
        connection: of operations; its transaction should end soon.
    """
    connection.execute(_PREPARE)


def digests(connection: sa.Connection, schemas: Sequence[str]) -> dict[str, str]:
    """A digest of each schema, made by the server; of those that exist.

    Args:
        connection: prepared.
        schemas: names, a bounded number: the server holds all rows of all of them at once.
    """
    rows = connection.execute(_DIGESTS, {"schemas": list(schemas)})
    return {row.schema: row.digest for row in rows}


def describe(connection: sa.Connection, schema: str) -> list[Object]:
    """All objects of one schema; none where there is no such schema.

    Args:
        connection: prepared.
        schema: its name.
    """
    return [Object(*row) for row in connection.execute(_ROWS, {"schemas": [schema]})]
