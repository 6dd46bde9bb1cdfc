"""A program on the Python client that was made of the OpenAPI document."""

import json
import os

from iassistance_client import AuthenticatedClient
from iassistance_client.api.assistant import add_golden, change_golden, show_golden
from iassistance_client.api.channels import list_channels
from iassistance_client.api.conversations import show_conversation
from iassistance_client.api.people import list_accounts
from iassistance_client.api.your_account import show_me
from iassistance_client.models import GoldenQuestion, Me, NewGolden, PageChannel, Problem, Traits

URL, KEY, TENANT = os.environ["REST_URL"], os.environ["REST_KEY"], os.environ["REST_TENANT"]
CHECKS = 0


def check(holds: bool, what: str) -> None:
    global CHECKS
    assert holds, what
    CHECKS += 1


def main() -> None:
    program = AuthenticatedClient(base_url=URL, token=KEY)
    session = json.loads(os.environ["REST_SESSION"])
    cookie = session.pop("Cookie")
    person = AuthenticatedClient(URL, cookie, prefix="", auth_header_name="Cookie", headers=session)

    # Lists come in pages.
    page = list_channels.sync(TENANT, client=program, limit=2)
    assert isinstance(page, PageChannel) and isinstance(page.next_, str)
    rest = list_channels.sync(TENANT, client=program, limit=2, cursor=page.next_)
    assert isinstance(rest, PageChannel)
    check(len(page.items) + len(rest.items) == 4, "the demo shop has four channels")
    check(len({channel.id for channel in page.items + rest.items}) == 4, "each of them once")

    # What is created is created once.
    body = NewGolden(question="Is it open at Easter?", expect=Traits(contains=["no"]))
    made = add_golden.sync_detailed(TENANT, client=program, body=body, idempotency_key="python-1")
    again = add_golden.sync_detailed(TENANT, client=program, body=body, idempotency_key="python-1")
    assert isinstance(made.parsed, GoldenQuestion) and isinstance(again.parsed, GoldenQuestion)
    check(made.status_code == 201 and made.parsed.id == again.parsed.id, "the same one")
    check(again.headers["idempotency-replayed"] == "true", "and it says so")

    # What is changed is what was seen.
    seen = show_golden.sync_detailed(TENANT, made.parsed.id, client=program)
    tag = seen.headers["etag"]
    body.question = "Is it open at Christmas?"
    first = change_golden.sync_detailed(TENANT, made.parsed.id, client=program, body=body, if_match=tag)
    check(isinstance(first.parsed, GoldenQuestion) and first.parsed.question == body.question, "it is changed")
    stale = change_golden.sync_detailed(TENANT, made.parsed.id, client=program, body=body, if_match=tag)
    check(stale.status_code == 412 and isinstance(stale.parsed, Problem), "and not by who saw what was before")

    # A problem is a problem.
    missing = show_conversation.sync_detailed(TENANT, f"cnv_{'0' * 32}", client=program)
    assert isinstance(missing.parsed, Problem)
    check(missing.status_code == 404 and missing.parsed.code == "not_found", "what is not there")

    # A person asks by their session.
    me = show_me.sync(client=person)
    check(isinstance(me, Me) and me.email == "admin@example.com", "who is signed in")
    refused = list_accounts.sync(client=person)
    check(isinstance(refused, Problem) and refused.code == "forbidden", "what an administrator may not")
    print(f"python: {CHECKS} checks passed")


if __name__ == "__main__":
    main()
