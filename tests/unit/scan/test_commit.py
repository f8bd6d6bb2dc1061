"""The commit of a project: how its repository's address is read."""

from __future__ import annotations

import pytest

from hatch_pack_venv.scan.commit import as_url


@pytest.mark.parametrize(
    ("remote", "url"),
    [
        ("https://git.example.org/o/r.git", "https://git.example.org/o/r.git"),
        ("git@git.example.org:o/r.git", "ssh://git@git.example.org/o/r.git"),
        ("deploy@git.example.org:o/r.git", "ssh://git.example.org/o/r.git"),
        ("git.example.org:r", "ssh://git.example.org/r"),
        ("/srv/r.git", "/srv/r.git"),
        (r"C:\repositories\r", r"C:\repositories\r"),
        ("C:/repositories/r", "C:/repositories/r"),
    ],
)
def test_the_short_form_of_an_address_is_ssh(remote: str, url: str) -> None:
    """Git reads it so; a path is not an address, and users other than `git` may be names."""
    assert as_url(remote) == url
