"""`lightship status`: what a credential sees at a remote hub, or what came of one post."""

from __future__ import annotations

import click

from lightship.cli import exits
from lightship.cli.command import Command, json_option, profile_option
from lightship.cli.output import plain, print_json, print_rows
from lightship.cli.remote import client_of


@click.command(
    cls=Command,
    examples="""
    lightship status
    lightship status --json
    lightship status la-lb-mou/2f3e9b0c-7c1d-4f0e-9f7a-3d1c5c0d8a11
    """,
)
@click.argument("post", default="", metavar="[AGREEMENT/STATUS]")
@profile_option
@json_option
def status(post: str, profile_name: str, as_json: bool) -> int:
    """Show the agreements and collections that this credential sees, with its rights, or what came of a post.

    The description of an agreement says first if it is not in force yet, has ended, or is about to.
    A status is kept for a day at least, and only who posted can see it. Ends with 3 if objects were refused.
    """
    from lightship.client.publishing import notes_of

    with client_of(profile_name) as client:
        if not post:
            found, roots = client.collections(), client.roots()
            if as_json:
                print_json(
                    {
                        "hub": client.connection.origin,
                        "agreements": [
                            {"name": one.name, "title": one.title, "description": one.description}
                            for one in roots
                        ],
                        "collections": [
                            {
                                "name": one.name,
                                "id": one.id,
                                "title": one.title,
                                "can_read": one.can_read,
                                "can_write": one.can_write,
                            }
                            for one in found
                        ],
                    }
                )
                return exits.OK
            for root in roots:
                said = [part for part in (root.name, root.title, root.description) if part]
                click.echo(plain(": ".join(said)))
            rows = [
                (
                    one.name,
                    one.title,
                    "yes" if one.can_read else "no",
                    "yes" if one.can_write else "no",
                    one.id,
                )
                for one in found
            ]
            print_rows(rows, ("COLLECTION", "TITLE", "READ", "WRITE", "ID"))
            return exits.OK
        agreement, _, status_id = post.rpartition("/")
        if not agreement:
            raise click.UsageError(
                "Write it as AGREEMENT/STATUS, as the `statuses` of `publish --json` show."
            )
        value = client.status(agreement, status_id)
    if as_json:
        print_json(value)
    else:
        click.echo(
            f"{value.get('status')}: {value.get('success_count', 0)} of {value.get('total_count', 0)} taken, "
            f"refused: {value.get('failure_count', 0)}, pending: {value.get('pending_count', 0)}"
        )
        for note in notes_of(value):
            click.echo(plain(f"note on {note.id} {note.version}: {note.message}"))
        for one in value.get("failures", []):
            click.echo(plain(f"refused {one.get('id')} {one.get('version')}: {one.get('message', '')}"))
    return exits.REFUSED if value.get("failure_count") else exits.OK
