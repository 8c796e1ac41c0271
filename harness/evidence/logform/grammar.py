"""What stands before a message, as a grammar: stamps, dates, hosts, levels, callers, quotation marks, in any order.

One expression consumes as many parts as there are, so that combinations nobody wrote down (a quoted journal of a
guest's console) come off too. Sources: kernel/printk/printk.c (print_prefix(), info_print_ext_header()), util-linux
sys-utils/dmesg.c (--ctime, --reltime, --delta, --iso, --decode, --raw), systemd src/shared/logs-show.c (every ``-o``),
Xen's tools/console/daemon/io.c and xen/drivers/char/console.c, the CRI log format of Kubernetes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_S = r"[ \t\xa0]"  # blanks: copying out of a browser makes tabs and no-break spaces of them


@dataclass(frozen=True)
class Prefix:
    """What one line begins with."""

    end: int
    """So many characters are decoration."""
    time_s: float | None = None
    """Since the kernel began, where its own stamp says so."""
    caller: str = ""
    """``T123`` or ``C0``, with CONFIG_PRINTK_CALLER."""
    kernel: bool = False
    """The kernel printed this line, not a program: its stamp, its level, or ``kernel:`` stands there."""
    begins: bool = False
    """There is a stamp of any kind: a line begins here. Quotation marks alone do not say so."""


NONE = Prefix(0)

# A clock with a date around it, in whatever order: up to four short words, the time, its fraction and zone.
_DATE_WORD = r"(?:\d{4}|\d{1,2}[.,]?|[^\W\d_]{2,4}[.,]?|\d{1,4}[-/.](?:\d{1,2}|[^\W\d_]{3})(?:[-/.]\d{2,4})?)"
_ZONE = r"(?:Z|UTC|GMT|[+-]\d\d:?\d\d|(?:A|C|E|M|P|J|K|H|I|N|B|W|CE|EE|WE|AE|AC|AW|NZ|AK|SG|HK)[SDE]?T|MSK|[AP]M)"
_CLOCK = (
    rf"(?:{_DATE_WORD}(?:[T:,]{_S}*|{_S}+)){{0,4}}\d\d:\d\d:\d\d(?:[.,:]\d{{1,9}})?(?:{_S}?{_ZONE}(?![\w:]))?"
    rf"(?:{_S}(?:19|20)\d\d(?!\d))?(?:{_S}{_ZONE}(?![\w:]))?"
)
_KERNEL_TAG = rf"(?:[\w.:@-]+{_S}+)?(?:kernel|vmunix)(?:\[[^\]\s]*\])?:{_S}?"
_AFTER_DATE = (
    rf"(?:(?:(?:stdout|stderr){_S}[FP]|\d\d[OE]\+?){_S}?"  # CRI; GitLab's stream number
    rf"|{_S}*\d+{_S}+\d+{_S}+[VDIWEFA]{_S}+[^:\s]*{_S}*:{_S}?"  # Android's logcat
    rf"|[\w.:@-]+{_S}+(?=\[{_S}*\d+\.\d|<\d{{1,3}}>))?"  # a host, where the kernel's own stamp follows
)
_OUTER = (
    rf"(?:>|&gt;)+{_S}?"  # quotation
    rf"|(?:[\w.@/-]{{1,40}}{_S}+)?\|(?:{_S}|$)"  # tables, some mailers, docker compose
    r"|\ufeff|`{1,3}(?=\S)"
    rf"|\(d\d+\){_S}?"  # Xen: a guest's console
    rf"|##\[\w+\]{_S}?"  # GitHub: ##[error]
    rf"|\d{{1,7}}(?:[:|]{_S}?|\t{_S}*)(?={_S}*(?:[^\d\s]|$|(?:[\w.+~-]+,)?\d+,\d+,|\d{{10}}|{_CLOCK}))"  # grep -n
)
_DATED = (
    rf"\({_CLOCK}\){_S}?|\[{_CLOCK}\]:?{_S}?|{_CLOCK}(?:{_S}?[:,|]{_S}|{_S}+|$){_AFTER_DATE}"
    rf"|\[?\d{{10}}[.,]\d{{3,9}}\]?:?{_S}+|\[?\d{{13,19}}\]?:?{_S}+"  # seconds, milliseconds ... since 1970
)
_LEVEL = (
    r"<\d{1,3}>"
    rf"|kern{_S}*:{_S}*(?:emerg|alert|crit|err|warn|notice|info|debug){_S}*:{_S}?"  # dmesg --decode
)
# dmesg -T in any language; dmesg -H, the first of a minute
_CTIME = (
    rf"\[[^\W\d_]{{2,4}}\.?{_S}+(?:[^\W\d_]{{3,4}}\.?{_S}+\d{{1,2}}|\d{{1,2}}\.?{_S}+[^\W\d_]{{3,4}}\.?){_S}+"
    rf"\d\d:\d\d:\d\d{_S}+\d{{4}}\]"
    rf"|\[[^\W\d_]{{3,4}}\.?{_S}*\d{{1,2}}{_S}+\d\d:\d\d\]"
)
_STAMP = (
    rf"\[{_S}*(?P<seconds>\d{{1,10}}[.,]\d{{2,9}}){_S}*(?:<[ \t+]*\d+[.,]\d+>{_S}*)?\]"  # printk; dmesg --show-delta
    rf"|\[{_S}*(?:\+\d+\.\d+|<[ \t+]*\d+[.,]\d+>){_S}*\]"  # dmesg -H, --time-format=delta
    rf"|{_CTIME}"
    rf"|\[{_S}*(?P<caller>[TC]\d+){_S}*\]"
    r"|(?:[\w.+~-]+,)?\d{1,4},\d+,(?P<micros>\d+),[^;\s]{1,80};"  # /dev/kmsg, netconsole's extended records
    rf"|{_KERNEL_TAG}"
)
# Behind a stamp of the kernel only its own parts follow: the message may begin with a number or a bracket. A blank
# behind the stamp is a separator; further ones belong to the message, which may be indented.
_PREFIX = re.compile(
    rf"(?:{_S}*(?:{_OUTER}|(?P<level>{_LEVEL})|(?!{_CTIME})(?P<dated>{_DATED})))*"
    rf"(?:{_S}*(?P<kernel>{_STAMP}|<\d{{1,3}}>)(?:{_S}(?=\S|{_S}))?)*"
)
_POSSIBLE = re.compile(rf"{_S}*(?:[\[<>(|&`#\d\ufeff]|[^\W\d_]{{2,4}}[.,]?{_S}|(?:\S+{_S}+)?(?:kern|vmunix|\|))")


def prefix_of(text: str) -> Prefix:
    """What ``text``, a line without escapes and line end, begins with."""
    if _POSSIBLE.match(text) is None:
        return NONE
    match = _PREFIX.match(text)
    if match is None or match.end() == 0:
        return NONE
    seconds, micros = match["seconds"], match["micros"]
    time_s = float(seconds.replace(",", ".")) if seconds else (int(micros) / 1e6 if micros else None)
    kernel = match["kernel"] is not None or match["level"] is not None
    return Prefix(match.end(), time_s, match["caller"] or "", kernel, kernel or match["dated"] is not None)
