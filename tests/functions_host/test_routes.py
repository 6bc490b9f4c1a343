from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.functions_host.routes import Route, RouteEntry, RouteTable


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        ("api/tap", "/api/tap", {}),
        ("api/tap", "/API/Tap", {}),
        ("api/tap", "/api/tap/", {}),
        ("", "/", {}),
        ("api/{name}", "/api/a%20b", {"name": "a b"}),
        ("api/{name}", "/api/a%2Fb", {"name": "a%2Fb"}),
        ("api/{id:int}", "/api/-7", {"id": "-7"}),
        ("api/{id:int}/{part?}", "/api/7", {"id": "7"}),
        ("api/{id:int}/{part?}", "/api/7/x", {"id": "7", "part": "x"}),
        ("api/{id=12}", "/api", {"id": "12"}),
        ("api/{id:int=12}", "/api", {"id": "12"}),
        ("api/{*rest}", "/api/a/b/c", {"rest": "a/b/c"}),
        ("api/{*rest}", "/api", {}),
        ("api/{**rest}", "/api/a/b", {"rest": "a/b"}),
        ("api/{name}.{format}", "/api/a.b.json", {"name": "a.b", "format": "json"}),
        ("api/v{major:int}", "/api/v2", {"major": "2"}),
        (r"api/{code:regex(^\d{{2}}$)}", "/api/42", {"code": "42"}),
        ("api/{day:datetime}", "/api/2026-11-22", {"day": "2026-11-22"}),
    ],
)
def test_a_path_gives_the_parameters(template: str, path: str, values: dict[str, str]) -> None:
    """Templates match as in ASP.NET Core, and give their parameters decoded."""
    assert Route(template).match(path) == values


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("api/tap", "/api"),
        ("api/tap", "/api/tap/more"),
        ("api/tap", "/api//tap"),
        ("api/{name}", "/api"),
        ("api/{name}", "/api/a/b"),
        ("api/{id:int}", "/api/x"),
        ("api/{id:int}", "/api/3000000000"),
        ("api/{id:range(1,5)}", "/api/6"),
        ("api/{id:int:min(3)}", "/api/2"),
        ("api/{name:alpha}", "/api/a1"),
        ("api/{name:length(2)}", "/api/abc"),
        ("api/{name:minlength(2)}", "/api/a"),
        ("api/{name:maxlength(2)}", "/api/abc"),
        ("api/{flag:bool}", "/api/1"),
        ("api/{id:guid}", "/api/1234"),
        ("api/{price:decimal}", "/api/1e3"),
        (r"api/{code:regex(^\d{{2}}$)}", "/api/421"),
        ("api/{name}.{format}", "/api/plain"),
    ],
)
def test_another_path_does_not_match(template: str, path: str) -> None:
    """Missing, surplus and wrong segments are no match."""
    assert Route(template).match(path) is None


@pytest.mark.parametrize(
    ("value", "constraint"),
    [
        ("9223372036854775807", "long"),
        ("True", "bool"),
        ("1,234.5", "decimal"),
        ("-1.5e3", "double"),
        ("{6F9619FF-8B86-D011-B42D-00C04FC964FF}", "guid"),
        ("x", "required"),
        ("5", "max(5)"),
        ("abc", "length(2,4)"),
    ],
)
def test_values_meet_their_constraint(value: str, constraint: str) -> None:
    """What .NET would take for a type, the constraint takes."""
    assert Route(f"{{v:{constraint}}}").match(f"/{value}") == {"v": value}


@pytest.mark.parametrize(
    "template",
    [
        "/api",
        "~/api",
        "{*rest}/more",
        "{a:nope}",
        "{a:min(x)}",
        "{a:int(3)}",
        "{a:min}",
        "{}",
        "{a",
    ],
)
def test_a_template_that_cannot_be_is_refused(template: str) -> None:
    """A wrong template is an error when it is read, not a route that never matches."""
    with pytest.raises(ValueError, match=r"."):
        Route(template)


@given(st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1))
def test_any_segment_comes_back_as_it_was_sent(value: str) -> None:
    """A parameter holds the text that the client escaped, whatever it is."""
    assert Route("api/{name}").match("/api/" + quote(value, safe="")) == {"name": value}


def test_the_first_entry_for_path_and_method_is_taken() -> None:
    """Methods select before the order does; a path with other methods only is not found."""
    table = RouteTable(
        [
            RouteEntry(Route("x"), frozenset({"POST"}), "post"),
            RouteEntry(Route("{any}"), frozenset({"GET"}), "any"),
            RouteEntry(Route("x"), frozenset({"GET"}), "never"),
            RouteEntry(Route("all"), frozenset(), "all"),
        ]
    )
    assert table.find("POST", "/x") == ("post", {})
    assert table.find("get", "/x") == ("any", {"any": "x"})
    assert table.find("DELETE", "/all") == ("all", {})
    assert table.find("DELETE", "/x") is None
