"""The errmsg of each errcode as WeChat sends it, and how a refusal is raised."""

from __future__ import annotations

from .plain_json import read_resource

#: errcode -> errmsg up to the rid. Seen in real replies, but for those of which no
#: sample is known: 40014, 61006, 9300513, 9300559 and 9300560, English after the manner
#: of their siblings with the document's Chinese as the detail; and 41008, 43002, 48006,
#: 61010 and 76001 to 76022, from WeChat's documents.
TEXTS: dict[int, str] = {
    int(errcode): text
    for errcode, text in read_resource(__package__, "errmsgs.json").items()
}

#: The text of 45009 when calls come too fast within a second.
TOO_FAST = "reach max api second frequence limit"


class Refusal(Exception):
    """
    WeChat refuses a call.

    Attributes:
        errcode: The number.

        text: The errmsg up to the rid.
    """

    def __init__(self, errcode: int, text: str | None = None, *, ip: str = "") -> None:
        super().__init__(errcode, text)
        self.errcode = errcode
        if text is None:
            ipv6 = ip if ":" in ip else f"::ffff:{ip}"
            text = TEXTS.get(errcode, "unknown error")
            text = text.replace("{ip}", ip).replace("{ipv6}", ipv6)
        self.text = text

    def errmsg(self, rid: str) -> str:
        """
        Return the whole errmsg; 47001 alone was seen without the space before *rid*.
        """
        space = "" if self.errcode == 47001 else " "
        return f"{self.text} rid:{space}{rid}"
