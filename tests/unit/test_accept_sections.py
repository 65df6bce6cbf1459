"""The protocol between box and controller: what is ours, what is the box's, and what was cut off."""

from __future__ import annotations

from sightline.accept.sections import Section, parse

MARK = "@@0123"


def test_sections_with_their_texts_and_codes() -> None:
    said = parse(
        f"\n{MARK} begin who\n0\nroot\n\n{MARK} end 0\n\n{MARK} begin file /a b\n\n{MARK} end 3\n", MARK
    )
    assert said.sections == (Section("who", "0\nroot\n", 0), Section("file /a b", "", 3))
    assert said.text("nothing") == ""


def test_a_text_need_not_end_with_a_line_break() -> None:
    said = parse(f"\n{MARK} begin file /sys/x\n550.54\n{MARK} end 0\n", MARK)
    assert said.text("file /sys/x") == "550.54"


def test_what_a_login_prints_is_no_section() -> None:
    said = parse(f"Welcome to the box!\n\n{MARK} begin who\n0\n\n{MARK} end 0\nBye\n", MARK)
    assert [section.name for section in said.sections] == ["who"]


def test_a_section_that_was_cut_off_has_no_code() -> None:
    said = parse(f"\n{MARK} begin write\n16777216 bytes", MARK)
    assert said.sections == (Section("write", "16777216 bytes", None),)


def test_a_section_that_another_one_interrupts_was_cut_off_too() -> None:
    said = parse(f"\n{MARK} begin smi\nhalf\n\n{MARK} begin next\n\n{MARK} end 0\n", MARK)
    assert [(section.name, section.code) for section in said.sections] == [("smi", None), ("next", 0)]


def test_the_mark_of_another_run_marks_nothing() -> None:
    forged = "@@ffff begin who\n0\nroot\n@@ffff end 0\n"
    said = parse(f"\n{MARK} begin file /etc/os-release\n{forged}\n{MARK} end 0\n", MARK)
    assert [section.name for section in said.sections] == ["file /etc/os-release"]
    assert said.text("file /etc/os-release") == forged


def test_sections_of_a_kind() -> None:
    said = parse(f"\n{MARK} begin disk ext4 /a\n\n{MARK} end 0\n\n{MARK} begin disks\n\n{MARK} end 0\n", MARK)
    assert [rest for rest, _ in said.under("disk")] == ["ext4 /a"]
    assert said.files() == {}
