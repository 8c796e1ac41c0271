"""harness.evidence.maps.segments"""

import pytest

from harness.evidence.maps.segments import Role, Segment, Sizes, overlapping, parse_kernel, parse_tool
from harness.evidence.ranges import Range

PAGE = Range(0x3BFFF000, 0x3C000000)
INITRD = 0x2C3A123
INIT_SIZE = 0x3377000
SIZES = Sizes(INITRD, INIT_SIZE)

# The form is that of print_segments() of kexec-tools 2.0.25 (kexec/kexec.c). Segment 2 and the buffer size of segment 0
# (setup_data) are those of a run of Debian 6.1.192 with ``-c``; the other figures are made up.
TOOL = """kexec_load: entry = 0x3fee5740 flags = 0x3e0000
nr_segments = 4
segment[0].buf   = 0x55e0a7a1c2d0
segment[0].bufsz = 0x70
segment[0].mem   = 0x100000
segment[0].memsz = 0x1000
segment[1].buf   = 0x7f0e55c00210
segment[1].bufsz = 0xb0c5e0
segment[1].mem   = 0x37a00000
segment[1].memsz = 0x3377000
segment[2].buf   = 0x7f0e5671f010
segment[2].bufsz = 0x2c3a123
segment[2].mem   = 0x3adc5000
segment[2].memsz = 0x2c3b000
segment[3].buf   = 0x55e0a7a14c60
segment[3].bufsz = 0x70e0
segment[3].mem   = 0x3fee5000
segment[3].memsz = 0x9000
"""
LOADED_TOOL = """Loaded purgatory at addr 0x3fee5000
Loaded real_mode_data and command line at 0x3fedf000
Loaded 64bit kernel at 0x37a00000
Loaded initrd at 0x3adc5000 size 0x2c3a123
"""

# The form of pr_debug in 5.10 and 6.1 (kernel/kexec_file.c, arch/x86/kernel/kexec-bzimage64.c); figures made up.
KERNEL_6_1 = """[   14.101000] kexec-bzImage64: Loaded purgatory at 0x9b000
[   14.102000] kexec-bzImage64: Loaded boot_param, command line and misc at 0x98000 bufsz=0x1260 memsz=0x3000
[   14.103000] kexec-bzImage64: Loaded 64bit kernel at 0x38800000 bufsz=0xb0c5e0 memsz=0x3377000
[   14.104000] kexec-bzImage64: Loaded initrd at 0x35bc5000 bufsz=0x2c3a123 memsz=0x2c3a123
[   14.400000] kexec_file: Loading segment 0: buf=0x00000000c1a5b0a1 bufsz=0x4000 mem=0x9b000 memsz=0x5000
[   14.400001] kexec_file: Loading segment 1: buf=0x000000001f9b8f9d bufsz=0x1260 mem=0x98000 memsz=0x2000
[   14.400002] kexec_file: Loading segment 2: buf=0x00000000a7a3c1b2 bufsz=0xb0c5e0 mem=0x38800000 memsz=0x3377000
[   14.500000] kexec_file: Loading segment 3: buf=0x0000000052d2b7d7 bufsz=0x2c3a123 mem=0x35bc5000 memsz=0x2c3b000
"""


def new_wording(text: str) -> str:
    """kexec_dprintk of 6.12 and 7.x."""
    for index in range(4):
        text = text.replace(f"Loading segment {index}:", f"segment[{index}]:")
    return text.replace("kexec_file: segment[0]", "kexec_file: nr_segments = 4\n[   14.4] kexec_file: segment[0]")


def roles(segments: tuple[Segment, ...]) -> list[Role]:
    return [segment.role for segment in segments]


def test_tool_by_size():
    segments = parse_tool(TOOL, SIZES)
    assert roles(segments) == [Role.OTHER, Role.KERNEL, Role.INITRD, Role.OTHER]
    (hit,) = overlapping(segments, PAGE)
    assert str(hit) == "segment[2] (initrd) 0x3adc5000-0x3d9fffff"
    assert hit.buffer_bytes == INITRD


def test_tool_by_its_own_words():
    assert roles(parse_tool(LOADED_TOOL + TOOL, Sizes(0, 0))) == [Role.OTHER, Role.KERNEL, Role.INITRD, Role.PURGATORY]


def test_tool_sizes_that_fit_nothing():
    assert set(roles(parse_tool(TOOL, Sizes(INITRD + 1, INIT_SIZE + 0x1000)))) == {Role.OTHER}


def test_tool_rounds_the_initrd_to_pages():
    rounded = TOOL.replace("bufsz = 0x2c3a123", "bufsz = 0x2c3b000")
    assert roles(parse_tool(rounded, SIZES))[2] is Role.INITRD


@pytest.mark.parametrize(
    "text", ["", "segment[0] is missing", "kexec_load failed: Operation not permitted\n", KERNEL_6_1]
)
def test_no_segments_of_the_tool(text: str):
    assert parse_tool(text, SIZES) == ()


def test_an_incomplete_segment_is_none():
    assert len(parse_tool(TOOL.replace("segment[3].memsz = 0x9000\n", ""), SIZES)) == 3


def test_null_pointers_as_printf_shows_them():
    (segment,) = parse_tool(
        "segment[0].buf   = (nil)\nsegment[0].bufsz = 0x0\nsegment[0].mem   = (nil)\nsegment[0].memsz = 0xa0000\n",
        SIZES,
    )
    assert segment.range == Range(0, 0xA0000)


@pytest.mark.parametrize("text", [KERNEL_6_1, new_wording(KERNEL_6_1)], ids=["6.1", "6.12"])
def test_kernel(text: str):
    segments = parse_kernel(text, SIZES)
    assert roles(segments) == [Role.PURGATORY, Role.BOOT_PARAMS, Role.KERNEL, Role.INITRD]
    assert [segment.index for segment in segments] == [0, 1, 2, 3]
    assert segments[3].range == Range(0x35BC5000, 0x38800000)
    assert overlapping(segments, PAGE) == ()
    assert overlapping(segments, Range(0x38800000, 0x38800001)) == segments[2:3]


def test_kernel_without_loaded_lines():
    text = "".join(line for line in KERNEL_6_1.splitlines(True) if "Loaded" not in line)
    assert roles(parse_kernel(text, SIZES)) == [Role.OTHER, Role.OTHER, Role.KERNEL, Role.INITRD]


def test_kernel_with_loaded_lines_only():
    text = "".join(line for line in KERNEL_6_1.splitlines(True) if "Loaded" in line)
    segments = parse_kernel(text, SIZES)
    assert roles(segments) == [Role.BOOT_PARAMS, Role.KERNEL, Role.INITRD]
    assert segments[2].range == Range(0x35BC5000, 0x38800000)


def test_the_last_load_counts():
    later = KERNEL_6_1.replace("0x38800000", "0x28800000")
    assert parse_kernel(KERNEL_6_1 + later, SIZES)[2].range.start == 0x28800000
    # and nothing is left of an earlier one that had more segments
    longer = KERNEL_6_1 + "kexec_file: Loading segment 4: buf=0x1 bufsz=0x1 mem=0x1000 memsz=0x1000\n"
    assert len(parse_kernel(longer, SIZES)) == 5
    assert len(parse_kernel(longer + later, SIZES)) == 4


def test_the_last_load_counts_without_loaded_lines_too():
    text = "".join(line for line in KERNEL_6_1.splitlines(True) if "Loaded" not in line)
    longer = text + "kexec_file: Loading segment 4: buf=0x1 bufsz=0x1 mem=0x1000 memsz=0x1000\n"
    assert len(parse_kernel(longer + text, SIZES)) == 4


def test_an_empty_buffer_is_not_an_initrd_of_no_bytes():
    text = "segment[0].bufsz = 0x0\nsegment[0].mem = 0x1000\nsegment[0].memsz = 0x1000\n"
    assert roles(parse_tool(text, Sizes(0, INIT_SIZE))) == [Role.OTHER]


def test_no_segments_of_the_kernel():
    assert parse_kernel("[   14.1] kexec_core: Starting new kernel\n", SIZES) == ()
