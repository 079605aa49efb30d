import pytest

from magnet_arrow._text import as_options, for_html, for_terminal


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("mmlu:subject=anatomy", "mmlu:subject=anatomy", id="plain"),
        pytest.param("", "", id="empty"),
        pytest.param("a\x1b[31mb", r"a\x1b[31mb", id="colour"),
        pytest.param("\x1b]52;c;ZXZpbA==\x07", r"\x1b]52;c;ZXZpbA==\x07", id="clipboard"),
        pytest.param("\x9b2J", r"\x9b2J", id="eight-bit-escape"),
        pytest.param("a\r\nb\tc\x00d\x7f", r"a\r\nb\tc\x00d\x7f", id="controls"),
        pytest.param("a\u202eb\u2066c", r"a\u202eb\u2066c", id="reading-direction"),
        pytest.param("a\u2028b", r"a\u2028b", id="line-separator"),
        pytest.param("a\ud83db", r"a\ud83db", id="lone-surrogate"),
        pytest.param("\U000e0041", r"\U000e0041", id="invisible-tag"),
        pytest.param(
            "naïve 字\u3000字 🦉 👩\u200d🔬 1\u00a0000",
            "naïve 字\u3000字 🦉 👩\u200d🔬 1\u00a0000",
            id="world",
        ),
        pytest.param(r"C:\x1b", r"C:\x1b", id="backslash"),
        pytest.param("mmlu:[/bold]x", "mmlu:[/bold]x", id="markup-is-left-to-rich"),
    ],
)
def test_for_terminal_shows_what_would_act(text: str, shown: str) -> None:
    assert for_terminal(text) == shown
    assert for_terminal(shown) == shown
    assert for_terminal(text).encode() == shown.encode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("a < b & c", "a &lt; b &amp; c", id="plain"),
        pytest.param("<script>alert('x')</script>", "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;", id="script"),
        pytest.param('" onclick="x', "&quot; onclick=&quot;x", id="attribute"),
        pytest.param("a\nb\tc", "a\nb\tc", id="line-ends-stay"),
        pytest.param("\x00\ud800\u202e", r"\x00\ud800\u202e", id="not-for-a-page"),
    ],
)
def test_for_html_shows_what_would_act(text: str, shown: str) -> None:
    assert for_html(text) == shown


@pytest.mark.parametrize(
    ("hint", "shown"),
    [
        pytest.param("Read it again with retry=True.", "Read it again with --retry.", id="argument"),
        pytest.param("With workers=1 it goes on.", "With --workers 1 it goes on.", id="number"),
        pytest.param("Or lower num_example_runs.", "Or lower --examples.", id="another-name"),
        pytest.param(
            "Name one: 3f45/s1/toy:n=0, v2/a=1,b=True.", "Name one: 3f45/s1/toy:n=0, v2/a=1,b=True.", id="run"
        ),
        pytest.param("Did you mean /d/k=5?", "Did you mean /d/k=5?", id="path"),
        pytest.param("Did you mean mmlu:retry=True?", "Did you mean mmlu:retry=True?", id="argument-in-a-name"),
    ],
)
def test_hints_for_a_shell_name_options_and_leave_names_alone(hint: str, shown: str) -> None:
    assert as_options(hint) == shown
