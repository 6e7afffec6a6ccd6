"""Reading what people have: CSV, TSV, JSON Lines; UTF-8 and GBK; and broken rows."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from wxlogistics import GoodsDetail
from wxlogistics.cli import rows
from wxlogistics.cli.messages import Problem, Say
from wxlogistics.cli.rows import QUERY, TRACE, Columns, Reader, Row, goods_of, survey

COMMA = "\uff0c"
HEAD = "openid,waybill_id,receiver_phone,goods_name,goods_img_url"


def read(
    data: str | bytes, columns: Columns = QUERY, **options: Any
) -> list[tuple[int, int, Any]]:
    """
    Number, line, and the fields or what is wrong.
    """
    if isinstance(data, str):
        data = data.encode()
    say = Say("en")
    return [
        (
            row.number,
            row.line,
            say.problem(row.problem) if row.problem else dict(row.fields),
        )
        for row in Reader(columns, **options).rows(io.BytesIO(data))
    ]


def tokens(data: str | bytes, **options: Any) -> list[Any]:
    return [
        fields["waybill_token"] if isinstance(fields, dict) else fields
        for _, _, fields in read(data, **options)
    ]


def why(data: str | bytes, columns: Columns = QUERY, **options: Any) -> str:
    """
    Why an input is refused as a whole.
    """
    with pytest.raises(Problem) as raised:
        read(data, columns, **options)
    return Say("en").problem(raised.value)


class TestForms:
    @pytest.mark.parametrize(
        "data",
        [
            "waybill_token\nA\nB\n",
            "waybill_token\r\nA\r\nB\r\n",
            "waybill_token\nA\nB",
            "A\nB\n",
            "\nA\n\n\nB\n\n",
            "Waybill Token\nA\nB\n",
            "token\nA\nB\n",
            "查询id\nA\nB\n",
            "note,waybill_token,x\n1,A,2\n,B,\n",
            "waybill_token,note\nA\nB\n",
            'waybill_token\n"A"\n"B"\n',
            "waybill_token;note\nA;1\nB;2\n",
            "waybill_token\tnote\nA\t1\nB\t2\n",
            "waybill_token,\nA,\n,\nB,\n,\n",
            '{"waybill_token": "A"}\n{"waybill_token": "B"}\n',
            '{"waybillToken": "A", "note": 1}\r\n\r\n{"token": "B"}',
            ' {"waybill_token": " A "}\n"B"\n',
            " A \n B\t\n",
            ",,\n,waybill_token\n,A\n,B\n",
            "sep=;\nwaybill_token;note\nA;1,2\nB;3\n",
            '"sep=,"\r\ntoken,note\r\nA,1\r\nB,2\r\n',
            "sep=\t\nwaybill_token\tnote\nA\t1\nB\t2\n",
        ],
    )
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk"])
    def test_rows__forms(self, data: str, encoding: str) -> None:
        """
        Two tokens, in each form that people have them.
        """
        assert ["A", "B"] == tokens(data.encode(encoding))

    def test_rows__empty(self) -> None:
        """
        Nothing in it, no rows.
        """
        assert [] == read("")
        assert [] == read("\n \n")
        assert [] == read("waybill_token\n")

    def test_rows__numbers_and_lines(self) -> None:
        """
        Rows count without the head and blank lines; lines are the file's.
        """
        data = 'waybill_token,note\n\nA,1\n"B","two\nlines"\n\nC,3\n'

        assert [
            (1, 3, {"waybill_token": "A"}),
            (2, 4, {"waybill_token": "B"}),
            (3, 7, {"waybill_token": "C"}),
        ] == read(data)

    def test_rows__without_a_head(self) -> None:
        """
        Lone tokens need no head: the first is a row.
        """
        assert [
            (1, 1, {"waybill_token": "A"}),
            (2, 2, {"waybill_token": "B"}),
        ] == read("A\nB\n")

    def test_rows__all_of_query(self) -> None:
        """
        A query's row may have an id and an openid.
        """
        assert [(1, 2, {"waybill_token": "A", "id": "7", "openid": "o1"})] == read(
            "订单号,用户openid,waybill_token\n7,o1,A\n"
        )

    @pytest.mark.parametrize(
        "form, data",
        [
            ("csv", '{"waybill_token": 1}\n'),
            ("tsv", "waybill_token\tid\nA\t1,2\n"),
            ("jsonl", '"A"\n'),
        ],
    )
    def test_rows__form_given(self, form: str, data: str) -> None:
        """
        A form that is given is not guessed.
        """
        assert 1 == len(read(data, form=form))

    def test_ignored__names(self) -> None:
        """
        Names that mean nothing are remembered, each once and not too many.
        """
        csv_, jsonl = Reader(QUERY), Reader(QUERY)
        list(csv_.rows(io.BytesIO("备注,waybill_token,goods_name\n1,A,b\n".encode())))
        lines = (json.dumps({"token": "A", f"x{n % 30}": 1}) for n in range(90))
        list(jsonl.rows(io.BytesIO("\n".join(lines).encode())))

        assert ["备注", "goods_name"] == csv_.ignored
        assert [f"x{n}" for n in range(20)] == jsonl.ignored

    @pytest.mark.parametrize(
        "data, columns, problem",
        [
            ("id,openid\n", QUERY, "the first row names no column waybill_token"),
            ("a,b\n", QUERY, "the first row names no column waybill_token"),
            (
                "运单号,备注\n",
                TRACE,
                "the first row names no column openid, receiver_phone, goods_name",
            ),
            ("A\nB\n", TRACE, "the first row names no column openid, waybill_id,"),
            (
                "token,waybill_token\n",
                QUERY,
                "two columns are both called waybill_token",
            ),
            (b"\xff\xfeA\x00", QUERY, 'the file is UTF-16; save it as "CSV UTF-8"'),
            (b"\xfe\xff\x00A", QUERY, 'the file is UTF-16; save it as "CSV UTF-8"'),
            ('"waybill_token\nA\n', QUERY, "its quotation marks do not match"),
            ("运单号\nSF1\n", QUERY, "the first row names no column waybill_token"),
            ("收件人手机号\n1\n", QUERY, "the first row names no column waybill_token"),
            ("goods_name_2\n1\n", QUERY, "the first row names no column waybill_token"),
            ("物流编号\nSF1\n", QUERY, "the first row names no column waybill_token"),
            (",,\n", QUERY, "the first row names no column waybill_token"),
            ('[{"waybill_token": "A"}]', QUERY, "the file is one JSON array; put each"),
            ('[\n"A"]', QUERY, "the file is one JSON array; put each"),
            ("[[" + " " * rows.LONGEST_LINE, TRACE, "the file is one JSON array"),
            (b"PK\x03\x04\x14\n", QUERY, "the file is an Excel workbook; save it as"),
            (b"\xd0\xcf\x11\xe0\n", QUERY, "the file is an Excel workbook; save it as"),
            (b"PK\x03\x04" * 2**18, QUERY, "the file is an Excel workbook; save it as"),
            ("token,id\rA,1\r", QUERY, "the file has line ends of an old Mac; save it"),
            ("A\rB\r", QUERY, "the file has line ends of an old Mac; save it as"),
        ],
    )
    def test_rows__no_input(
        self, data: str | bytes, columns: Columns, problem: str
    ) -> None:
        """
        What rules out the whole input is told at once.
        """
        assert why(data, columns).startswith(problem)


class TestEncodings:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030"])
    def test_rows__chinese(self, encoding: str) -> None:
        """
        Chinese is read as it was written, when each line tells by itself.
        """
        data = "waybill_token,id\nA,订单一\nB,联通\nC,龙井\n".encode(encoding)

        assert ["订单一", "联通", "龙井"] == [
            fields["id"]
            for _, _, fields in read(data, encoding=survey(io.BytesIO(data)))
        ]

    def test_rows__stdin_in_gbk(self) -> None:
        """
        Where nothing can be looked at beforehand, it is GBK from the first line on
        that is no UTF-8.
        """
        data = "waybill_token,id\nA,1\nB,订单\nC,联通\n".encode("gbk")

        assert ["1", "订单", "联通"] == [fields["id"] for _, _, fields in read(data)]

    def test_rows__encoding_given(self) -> None:
        """
        联通 in GBK is valid UTF-8 too, and famous for it: who knows better can say so.
        """
        data = "waybill_token,id\nA,联通\n".encode("gbk")

        assert "联通" == read(data, encoding="gbk")[0][2]["id"]

    def test_rows__bom_goes_before(self) -> None:
        """
        A BOM settles it.
        """
        data = "waybill_token,id\nA,订单\n".encode("utf-8-sig")

        assert "订单" == read(data, encoding="gbk")[0][2]["id"]

    def test_rows__one_broken_line(self) -> None:
        """
        One line in another encoding is one malformed row, and spoils no other.
        """
        data = (
            "waybill_token,id\nA,订单\nB,".encode() + b"\xff\xff" + "\nC,三\n".encode()
        )

        assert "utf-8" == survey(io.BytesIO(data))
        assert [
            "A",
            "id has characters that no text has: is the encoding right?",
            "C",
        ] == tokens(data, encoding="utf-8")

    @pytest.mark.parametrize("stray", [b"\xe9", b"\xe9a"])
    def test_rows__stdin_with_a_bad_byte(self, stray: bytes) -> None:
        """
        A stray byte in what is UTF-8 spoils its own row alone, also where it could be
        GBK with what follows.
        """
        data = b"waybill_token,id\nA,caf" + stray + ",\nB,订单\nC,龙井\n".encode()

        assert [
            "id has characters that no text has: is the encoding right?",
            {"waybill_token": "B", "id": "订单"},
            {"waybill_token": "C", "id": "龙井"},
        ] == [fields for _, _, fields in read(data)]

    def test_rows__stdin_in_utf8_and_gbk(self) -> None:
        """
        Once a line can be nothing but UTF-8, one in GBK is malformed.
        """
        data = "waybill_token,id\nA,订单\nB,".encode() + "运单\n".encode("gbk")

        assert ["A", "id has characters that no text has: is the encoding right?"] == (
            tokens(data + b"C\n")[:2]
        )

    @pytest.mark.parametrize("likely", ["gbk", None])
    def test_rows__utf8_within_gbk(self, likely: str | None) -> None:
        """
        Where most is GBK, a line of UTF-8 is malformed, and not read as nonsense.
        """
        line = "B,订单\n".encode()
        data = "waybill_token,id\nA,运单\nC,龙井\n".encode("gbk") + line

        assert "璁㈠崟" == line[2:-1].decode("gbk")
        assert [
            {"waybill_token": "A", "id": "运单"},
            {"waybill_token": "C", "id": "龙井"},
            "id has characters that no text has: is the encoding right?",
        ] == [fields for _, _, fields in read(data, likely=likely)]

    def test_rows__stdin_by_chance_both(self) -> None:
        """
        A first line of GBK that is UTF-8 as well does not decide: those behind it do.
        """
        data = "waybill_token,id\nA,模\nB,运单\nC,龙井\n".encode("gbk")

        assert "ģ" == "模".encode("gbk").decode()
        assert ["模", "运单", "龙井"] == [fields["id"] for _, _, fields in read(data)]

    def test_rows__stdin_is_not_awaited(self) -> None:
        """
        A row is there as soon as its line is, where that is UTF-8.
        """
        file = io.BytesIO("waybill_token,id\nA,订单\nB,2\n".encode())

        next(iter(Reader(QUERY).rows(file)))

        assert b"B,2\n" == file.read()

    def test_rows__blank_line_in_gbk(self) -> None:
        """
        A line of wide blanks is blank in GBK, too, and loses none behind it.
        """
        data = "waybill_token,id\n\u3000\nA,一\nB,二\n".encode("gbk")

        assert ["A", "B"] == tokens(data)

    @pytest.mark.parametrize(
        "data, encoding",
        [
            (b"", "utf-8"),
            (b"abc\n", "utf-8"),
            ("运单\n".encode(), "utf-8"),
            ("运单\n".encode("gbk"), "gbk"),
            ("运单\n单号\n".encode() + "运单\n".encode("gbk"), "utf-8"),
            (b"\xd4" * rows.LONGEST_LINE + b"\n", "utf-8"),
        ],
    )
    def test_survey__encoding(self, data: bytes, encoding: str) -> None:
        """
        The encoding is that of most lines.
        """
        assert encoding == survey(io.BytesIO(data))


class TestMalformed:
    @pytest.mark.parametrize(
        "line, problem",
        [
            ("", "waybill_token is empty"),
            (" ,x", "waybill_token is empty"),
            ("a\x00b", "waybill_token has characters that no text has"),
            ("a\x1bb", "waybill_token has characters that no text has"),
            ("a\ufffdb", "waybill_token has characters that no text has"),
            ("B,1,2", "3 values, but the first row names 2"),
            ('"B', "its quotation marks do not match, or it is no CSV"),
            ('"B"x', "its quotation marks do not match, or it is no CSV"),
            ("B" * 200_000, "its quotation marks do not match, or it is no CSV"),
            ("B" * rows.LONGEST_LINE, "longer than any row can be"),
            ("B" * (rows.LONGEST_LINE * 2), "longer than any row can be"),
        ],
    )
    def test_rows__one_bad_line(self, line: str, problem: str) -> None:
        """
        A bad row is a row with a problem; those around it are read.
        """
        found = tokens(f"waybill_token,id\nA,1\n{line or ',x'}\nC,3\nD,4\n")

        assert ["A", "C", "D"] == [found[0], *found[2:]]
        assert found[1].startswith(problem)

    def test_rows__quote_never_closed(self) -> None:
        """
        A quote that is never closed swallows no other row.
        """
        lines = "".join(f"T{n},1\n" for n in range(100))

        found = tokens(f'waybill_token,id\n"A,1\n{lines}')

        assert 101 == len(found)
        assert [f"T{n}" for n in range(100)] == found[1:]

    def test_rows__quote_closed_far_away(self) -> None:
        """
        One that is closed far below was not meant to be.
        """
        lines = "".join(f"T{n},1\n" for n in range(50))

        found = tokens(f'waybill_token,note\nA,"1\n{lines}B,2"\n')

        assert 52 == len(found)
        assert [f"T{n}" for n in range(50)] == found[1:51]

    def test_rows__quote_closed_by_another(self) -> None:
        """
        Nor do two such quotes together.
        """
        found = tokens('waybill_token,id\n"A,1\nB,2\nC",3\nD,4\n')

        assert [False, True, False, True] == [
            each in ("A", "B", "C", "D") for each in found
        ]

    def test_rows__quote_before_a_long_line(self) -> None:
        """
        Nor one that runs into a line that is too long.
        """
        long = "x" * rows.LONGEST_LINE

        assert [2, 3, 4] == [
            line for _, line, _ in read(f'waybill_token,id\n"A,1\n{long}\nC,3\n')
        ]

    def test_rows__quote_within(self) -> None:
        """
        A lone quote within a value is a character.
        """
        assert ['5"'] == tokens('waybill_token,id\n5",1\n')

    @pytest.mark.parametrize(
        "line, problem",
        [
            ("{", "no JSON object"),
            ("[" * 100_000, "no JSON object"),
            ("3", "no JSON object"),
            ("[]", "no JSON object"),
            ('{"waybill_token": null}', "waybill_token is empty"),
            ('{"waybill_token": 1.5}', "waybill_token is no text"),
            ('{"waybill_token": true}', "waybill_token is no text"),
            ('{"waybill_token": ["A"]}', "waybill_token is no text"),
            ('{"waybill_token": "\\ud800"}', "waybill_token has characters"),
            ('{"token": "A", "waybill_token": "B"}', "two columns are both called"),
            ("x" * rows.LONGEST_LINE, "longer than any row can be"),
        ],
    )
    def test_rows__one_bad_object(self, line: str, problem: str) -> None:
        """
        So it is with JSON Lines.
        """
        found = tokens(f'{{"waybill_token": "A"}}\n{line}\n{{"waybill_token": 7}}\n')

        assert ["A", "7"] == [found[0], found[2]]
        assert found[1].startswith(problem)

    def test_row__told_as_far_as_it_is_read(self) -> None:
        """
        A bad row still tells its id.
        """
        reader = Reader(QUERY)
        (row,) = reader.rows(io.BytesIO(b"id,waybill_token,openid\nA7,,o\n"))

        assert ("A7", 1, 2) == (row.id, row.number, row.line)


class TestTrace:
    def test_rows__all_columns(self) -> None:
        """
        A registration may have all that the call takes.
        """
        names = [
            *("openid", "waybill_id", "receiver_phone", "sender_phone", "trans_id"),
            *("delivery_id", "order_detail_path", "id", "goods_name", "goods_img_url"),
            "goods_desc",
        ]
        data = f"{','.join(names)}\n{','.join(f'v{n}' for n in range(11))}\n"

        assert [
            (
                1,
                2,
                {
                    "openid": "v0",
                    "waybill_id": "v1",
                    "receiver_phone": "v2",
                    "sender_phone": "v3",
                    "trans_id": "v4",
                    "delivery_id": "v5",
                    "order_detail_path": "v6",
                    "id": "v7",
                    "goods": [
                        {
                            "goods_name": "v8",
                            "goods_img_url": "v9",
                            "goods_desc": "v10",
                        }
                    ],
                },
            )
        ] == read(data, TRACE)

    def test_rows__chinese_names(self) -> None:
        """
        The columns may have the document's Chinese names, and goods their numbers.
        """
        data = (
            "订单编号,用户openid,运单号,收件人手机号,商品名称,商品图片,商品名称2,商品图片2\n"
            "7,o1,SF1,138,茶,a,杯,b\n"
        )
        ((_, _, fields),) = read(data.encode("gbk"), TRACE)

        assert ("7", "o1", "SF1", "138") == (
            fields["id"],
            fields["openid"],
            fields["waybill_id"],
            fields["receiver_phone"],
        )
        assert (
            GoodsDetail("茶", "a"),
            GoodsDetail("杯", "b"),
        ) == goods_of(fields["goods"]).detail_list

    @pytest.mark.parametrize(
        "head, values, goods",
        [
            ("goods_name", "茶", [("茶", "")]),
            ("goods_name_1,goods_img_url_1", "茶,a", [("茶", "a")]),
            (
                "goods_name,goods_name3,goods_name_10",
                "a,b,c",
                [("a", ""), ("b", ""), ("c", "")],
            ),
            ("goods_name,goods_name_2,goods_name_3", "a,,c", [("a", ""), ("c", "")]),
            ("goods", "茶=a", [("茶", "a")]),
            ("goods", "茶=a|杯=b?x=1", [("茶", "a"), ("杯", "b?x=1")]),
            (
                "goods",
                '"[{""goods_name"": ""茶"", ""goods_img_url"": ""a""}]"',
                [("茶", "a")],
            ),
            ("goods", '"{""goods_name"":\n ""茶""}"', [("茶", "")]),
            ("goods,goods_name", "茶=a,杯", [("茶", "a")]),
            ("goods,goods_name", ",杯", [("杯", "")]),
        ],
    )
    def test_rows__goods(
        self, head: str, values: str, goods: list[tuple[str, str]]
    ) -> None:
        """
        Goods in columns of their own, or all in one.
        """
        data = f"openid,waybill_id,receiver_phone,{head}\no,SF1,138,{values}\n"
        ((_, _, fields),) = read(data, TRACE)

        assert goods == [
            (detail.goods_name, detail.goods_img_url)
            for detail in goods_of(fields["goods"]).detail_list
        ]

    @pytest.mark.parametrize(
        "goods",
        [
            '[{"goods_name": "茶", "goods_img_url": "a"}]',
            '{"detail_list": [{"goods_name": "茶", "goods_img_url": "a"}]}',
            '"茶=a"',
        ],
    )
    @pytest.mark.parametrize("name", ["goods", "goods_info"])
    def test_rows__goods_in_json(self, name: str, goods: str) -> None:
        """
        A line may be the API's own body.
        """
        line = (
            '{"openid": "o", "waybill_id": "SF1", "receiver_phone": 13800138000, '
            f'"{name}": {goods}}}'
        )
        ((_, _, fields),) = read(line, TRACE)

        assert "13800138000" == fields["receiver_phone"]
        assert (GoodsDetail("茶", "a"),) == goods_of(fields["goods"]).detail_list

    @pytest.mark.parametrize(
        "values, problem",
        [
            (",SF1,138,茶,a", "openid is empty"),
            ("o,,138,茶,a", "waybill_id is empty"),
            ("o,SF1,,茶,a", "receiver_phone is empty"),
            ("o,SF1,138,,", "goods_name is empty"),
            ("o,SF1,138,,a", "goods without a goods_name"),
            ("o,7.77123E+14,138,茶,a", "waybill_id 7.77123E+14 was rounded by Excel"),
            ("o,SF1,1.38e10,茶,a", "receiver_phone 1.38e10 was rounded by Excel"),
            ("o,SF1,138,茶\x07,a", "goods_name has characters that no text has"),
            ("o,SF1,1.38E-10,茶,a", "receiver_phone 1.38E-10 was rounded by Excel"),
            ('o,SF1,"1,38E+10",茶,a', "receiver_phone 1,38E+10 was rounded by Excel"),
            ("o,SF1,########,茶,a", "receiver_phone ######## is what a spreadsheet"),
            ("o,SF1,#N/A,茶,a", "receiver_phone #N/A is what a spreadsheet made of it"),
            ('o,SF1,="138",茶,a', 'receiver_phone ="138" is what a spreadsheet made'),
            ("o,SF1,'138,茶,a", "receiver_phone '138 is what a spreadsheet made of it"),
            ("o,SF1,\u2019138,茶,a", "receiver_phone \u2019138 is what a spreadsheet"),
            ("o,SF1,13800138000.0,茶,a", "receiver_phone 13800138000.0 is what a"),
            ("o,777.00,138,茶,a", "waybill_id 777.00 is what a spreadsheet made of it"),
            (
                "o,SF1,\uff11\uff13\uff18,茶,a",
                "receiver_phone '\uff11\uff13\uff18' has full-width or invisible",
            ),
            (
                "o,\uff33F1,138,茶,a",
                "waybill_id '\uff33F1' has full-width or invisible",
            ),
            ("o,SF\u200b1,138,茶,a", "waybill_id 'SF\\u200b1' has full-width or invis"),
            ("o,SF1,138\xa00013,茶,a", "receiver_phone '138\\xa00013' has full-width"),
            ("o,SF1,\u202a138,茶,a", "receiver_phone '\\u202a138' has full-width or"),
        ],
    )
    def test_rows__bad_values(self, values: str, problem: str) -> None:
        """
        What cannot be registered is known before anything is sent.
        """
        ((_, _, found),) = read(f"{HEAD}\n{values}\n", TRACE)

        assert found.startswith(problem)

    @pytest.mark.parametrize(
        "phone",
        ["+86 138-0013-8000", "13800138000转12 34", "0755-26001234", "138****8000"],
    )
    def test_rows__good_phones(self, phone: str) -> None:
        """
        What people write into a phone number is theirs.
        """
        data = f"{HEAD}\no,SF1,{phone},茶,a\n"

        assert phone == read(data, TRACE)[0][2]["receiver_phone"]

    @pytest.mark.parametrize(
        "id_, found", [("3E12", "3E12"), ("#7", "#7"), ("2.02E+17", None)]
    )
    def test_rows__rounded_id(self, id_: str, found: str | None) -> None:
        """
        An id is what you like, but not what Excel has rounded.
        """
        ((_, _, fields),) = read(f"id,waybill_token\n{id_},A\n")

        if found:
            assert found == fields["id"]
        else:
            assert fields.startswith("id 2.02E+17 was rounded by Excel")

    @pytest.mark.parametrize(
        "goods, name",
        [
            ("茶\ufffd=a", "goods_name"),
            ('[{""goods_name"": ""茶"", ""goods_desc"": ""\\u0007""}]', "goods_desc"),
        ],
    )
    def test_rows__broken_goods(self, goods: str, name: str) -> None:
        """
        Goods that are written in one value are looked at as well.
        """
        data = f'openid,waybill_id,receiver_phone,goods\no,S,1,"{goods}"\n'

        assert f"{name} has characters that no text has: is the encoding right?" == (
            read(data, TRACE)[0][2]
        )

    def test_rows__eleven_goods(self) -> None:
        """
        Eleven goods are one too many.
        """
        names = ",".join(f"goods_name_{n}" for n in range(1, 12))
        data = f"openid,waybill_id,receiver_phone,{names}\no,S,1{',a' * 11}\n"

        assert "11 goods; WeChat takes 1 to 10" == read(data, TRACE)[0][2]

    def test_rows__one_parcel_in_two_rows(self) -> None:
        """
        The second article of a parcel in a row of its own would be lost at WeChat.
        """
        data = (
            f"{HEAD}\no,SF1,138,茶,a\no,SF1,138,杯,b\no,SF1,138,茶,a\no,SF2,138,杯,b\n"
        )
        found = [fields for _, _, fields in read(data, TRACE)]

        assert found[1].startswith("the same parcel as row 1 with other goods")
        assert ["SF1", "SF1", "SF2"] == [found[n]["waybill_id"] for n in (0, 2, 3)]

    def test_rows__one_parcel_far_apart(self) -> None:
        """
        However many rows are between the two.
        """
        between = "".join(f"o,YT{n},138,茶,a\n" for n in range(5_000))
        data = f"{HEAD}\no,SF1,138,茶,a\n{between}o,SF1,138,咖啡,b\no,SF1,138,茶,a\n"
        found = [fields for _, _, fields in read(data, TRACE)]

        assert found[5_001].startswith("the same parcel as row 1 with other goods")
        assert [f"YT{n}" for n in range(5_000)] == [
            fields["waybill_id"] for fields in found[1:5_001]
        ]
        assert "SF1" == found[5_002]["waybill_id"]

    def test_rows__one_parcel_of_two_customers(self) -> None:
        """
        Another customer's parcel is another one.
        """
        data = f"{HEAD}\no,SF1,138,茶,a\np,SF1,138,咖啡,b\n"

        assert ["o", "p"] == [fields["openid"] for _, _, fields in read(data, TRACE)]

    def test_rows__same_goods_in_other_words(self) -> None:
        """
        The same goods are the same, however they are written.
        """
        data = (
            '{"openid": "o", "waybill_id": "S", "receiver_phone": 1, "goods": "茶=a"}\n'
            '{"openid": "o", "waybill_id": "S", "receiver_phone": 1, '
            '"goods": [{"goods_name": "茶", "goods_img_url": "a"}]}'
        )

        assert ["S", "S"] == [
            fields["waybill_id"] for _, _, fields in read(data, TRACE)
        ]

    @pytest.mark.parametrize(
        "first, problem",
        [
            ("o,SF1,1.38E+10,茶,a", "the same parcel as row 1 with other goods"),
            ("o,SF1,138,,", "the same parcel as row 1 with other goods"),
            ("o,SF1,1.38E+10,杯,b", None),
            ("o,,138,茶,a", None),
            ("o,7.7E+14,138,茶,a", None),
        ],
    )
    def test_rows__one_parcel_whose_first_row_is_malformed(
        self, first: str, problem: str | None
    ) -> None:
        """
        A malformed row may be mended, and is the first then; if it tells its parcel.
        """
        found = read(f"{HEAD}\n{first}\no,SF1,138,杯,b\n", TRACE)[1][2]

        if problem:
            assert found.startswith(problem)
        else:
            assert "SF1" == found["waybill_id"]

    def test_digest__of_a_second_article(self) -> None:
        """
        A row that is refused for another one's sake tells all that it has.
        """
        alone = f"{HEAD}\no,SF1,138,杯,b\n"
        second = f"{HEAD}\no,SF1,138,茶,a\no,SF1,138,杯,b\n"
        (one,) = Reader(TRACE).rows(io.BytesIO(alone.encode()))
        _, two = Reader(TRACE).rows(io.BytesIO(second.encode()))

        assert "row.same_waybill" == two.problem.key
        assert one.fields == two.fields


class TestRow:
    def test_digest__content(self) -> None:
        """
        The digest changes with what is sent, and with nothing else.
        """
        row = Row(1, 2, {"waybill_token": "A", "openid": "o"})

        assert row.digest == Row(7, 9, {"openid": "o", "waybill_token": "A"}).digest
        assert row.digest != Row(1, 2, {"waybill_token": "B", "openid": "o"}).digest
        assert row.digest != Row(1, 2, row.fields, Problem("row.json")).digest
        assert 0 <= row.digest < 2**48

    @pytest.mark.parametrize(
        "fields, id_",
        [
            ({"id": "7", "waybill_id": "SF1"}, "7"),
            ({"waybill_id": "SF1"}, "SF1"),
            ({"waybill_token": "A"}, "A"),
            ({}, None),
        ],
    )
    def test_id__order(self, fields: dict[str, str], id_: str | None) -> None:
        """
        A row is called by its id, or by what WeChat calls it.
        """
        assert id_ == Row(1, 1, fields).id
