"""Each rule finds a planted violation, and clean code passes."""
import pytest
import tidy


def findings(path, text):
    return [what for _, what in tidy.check_file(path, text)]


def test_clean_code_passes():
    assert findings("index/store/a.cc", '#include "base/status.h"\n\nint F() {\n  return 1;\n}\n') == []


def test_an_edge_that_is_not_allowed():
    assert findings("base/a.cc", '#include "index/store/segment.h"\n') == ["base may not include store"]
    assert findings("index/store/a.cc", '#include "index/funnel/run.h"\n') == [
        "store may not include funnel"]


def test_packages_have_one_owner():
    assert findings("index/store/a.cc", "#include <faiss/Index.h>\n") == [
        "only coarse may include faiss/"]


def test_lengths():
    assert "101 columns" in findings("base/a.cc", "x" * 101 + "\n")[0]
    assert "501 lines" in findings("base/a.cc", "x\n" * 501)[0]


SHORT_METHODS = "struct A {\n" + "  int F() {\n    return 1;\n  }\n" * 30 + "};\n"


@pytest.mark.parametrize(
    ("text", "first", "count"),
    [
        ("int F() {\n" + "  g();\n" * 69 + "}\n", 1, 71),
        ("\nint F(int a,\n      int b) {\n" + "  if (a) {\n  }\n" * 35 + "}\n", 2, 73),
        ("class A {\n  A()\n      : b_(1) {\n" + "    g();\n" * 70 + "  }\n};\n", 2, 73),
        ("namespace a {\nvoid F() {\n" + '  g("}");  // }\n' * 70 + "}\n}\n", 2, 72),
    ],
)
def test_long_function_is_found_where_it_begins(text, first, count):
    found = list(tidy.check_file("base/a.cc", text))
    assert found == [(first, f"the function has {count} lines; the limit is 70")]


def test_length_is_of_a_function_and_not_of_what_holds_it():
    assert findings("base/a.cc", SHORT_METHODS) == []
    assert findings("base/a.cc", "int F() {\n" + "  g();\n" * 68 + "}\n") == []
    assert findings("index/kernels/a.cc", "int F() {\n" + "  g();\n" * 80 + "}\n") == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("std::" + "string_view x;", "absl::string_view"),
        ("// " + "TODO later", "finish it"),
        ("// " + "FIXME", "finish it"),
        ("std::" + "regex x;", "parse by hand"),
        ("int x = rand" + "();", "seeded"),
        ("assert" + "(x);", "CHECK"),
        ("std::this_thread::sleep" + "_for(a);", "wait for an event"),
        ("us" + "leep(5);", "wait for an event"),
        ("  std::printf" + '("x");', "prints nothing"),
        ("std::c" + "err << x;", "prints nothing"),
        ("std::exit" + "(1);", "never ends"),
        ('Open("' + "/ro" + 'ot/x");', "path of one machine"),
    ],
)
def test_banned_token_is_found(line, words):
    found = findings("index/store/a.cc", f"int y;\n{line}\n")
    assert len(found) == 1
    assert words in found[0]


def test_programs_may_print():
    assert findings("index/cli/a.cc", "std::printf" + '("x");\n') == []


def test_using_namespace_is_for_sources_only():
    assert len(findings("base/a.h", "using namespace std;\n")) == 1


def test_names_and_titles():
    assert findings("base/utils.cc", "int x;\n") == ["the name says nothing"]
    assert findings("docs/a.md", "text\n") == ["a page starts with its title"]
    assert findings("docs/a.md", "# A\nsee " + "/ho" + "me/me/x\n") == ["no path of one machine"]
