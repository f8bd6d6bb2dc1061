"""Passwords and tokens in the URLs of settings."""

from __future__ import annotations

import pytest

from hatch_pack_venv.metadata.path_files import keys_with_credentials

HOLDING = {
    "password": ("[global]\nindex-url = https://ci:s3cr3t@pypi.corp.test/simple\n", "index-url"),
    "database": ('{"db": {"url": "postgresql://app:hunter2@db.corp.test/shop"}}', "url"),
    "yaml": ("broker: amqp://svc:Zx9@mq.corp.test:5672/\n", "broker"),
    "token": ("[[index]]\nurl = 'https://ghp_16C7e42F292c6912E7710c8@github.com/o/r'\n", "url"),
    "user": ("url=https://0123456789abcdef0123456789abcdef:@index.corp.test/\n", "url"),
    "signed": ('{"url": "https://h.corp.test/a.whl?X-Amz-Signature=1f2e3d4c5b"}', "url"),
    "no key": ("https://bob:pa55@corp.test/\n", "line 1"),
}
HARMLESS = [
    "url = https://user:password@corp.test/",
    "url = https://ci:${TOKEN}@corp.test/ https://ci:{token}@corp.test https://ci:<token>@x.test",
    "url = https://bob:s3cr3t@example.com/ http://a:b@pypi.corp.example/",
    "url = postgresql://postgres:postgres@localhost:5432/shop",
    "# url = https://bob:s3cr3t@corp.test/",
    "url = ssh://git@github.com/o/r https://bob@corp.test/",
    "url = https://corp.test/a:b@c?token=$TOKEN&page=2",
    "when = 12:30@noon, bob:s3cr3t@corp.test",
]


@pytest.mark.parametrize(("text", "key"), HOLDING.values(), ids=HOLDING)
def test_a_password_in_a_url_is_told_by_its_key(text: str, key: str) -> None:
    """Whatever the file's syntax; the secret itself is never returned."""
    assert keys_with_credentials(text.encode()) == [key]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_stands_for_a_password_is_none(text: str) -> None:
    """Variables, examples, comments, local services and user names do not count."""
    assert keys_with_credentials(text.encode()) == []


def test_where_something_came_from_is_no_example() -> None:
    """In `direct_url.json`, example hosts count, too."""
    signed = b'{"url": "https://h.example.com/a.whl?X-Amz-Signature=S3CR3T"}'
    assert keys_with_credentials(signed, examples=False) == ["url"]
    assert keys_with_credentials(signed) == []
