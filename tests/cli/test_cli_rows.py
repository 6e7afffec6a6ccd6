"""Reading what shops have: CSV, TSV, JSON Lines, Excel; UTF-8 and GBK; broken rows."""

import io
import json
import sys
import threading
from typing import Any, Sequence

import pytest

from wxlogistics import GoodsDetail
from wxlogistics.cli import source
from wxlogistics.cli.headings import (
    HEADINGS,
    QUERY,
    TRACE,
    Columns,
    check_given,
    field_of,
)
from wxlogistics.cli.language import speak
from wxlogistics.cli.output import Problem
from wxlogistics.cli.rows import (
    Reader,
    Task,
    likely_encoding,
    records,
    with_headings,
    workbook,
)

HEAD = "openid,waybill_id,receiver_phone,goods_name,goods_img_url"
UNREADABLE = "[unreadable]"


def tasks(
    data: str | bytes,
    columns: Columns = QUERY,
    *,
    form: str | None = None,
    encoding: str | None = None,
    given: Sequence[str] = (),
    is_file: bool = True,
    reader: Reader | None = None,
) -> list[Task]:
    """Return what is read of a file, or of a pipe."""
    data = data.encode() if isinstance(data, str) else data
    lines = data.splitlines(keepends=True)
    encoding = encoding or (likely_encoding(lines) if is_file else None)
    reader = reader or Reader(columns, check_given(given, columns))
    return [*reader.tasks(records(iter(lines), form, encoding, columns))]


def why(task: Task) -> str:
    """Return the problem of a task's first row."""
    return task.why(task.rows[0])


def read(
    data: str | bytes, columns: Columns = QUERY, **options: Any
) -> list[tuple[int, int, Any]]:
    """Return number, line, and the fields or what is wrong, of each row."""
    found = [
        (row.number, row.line, why(task) or {**task.fields, "id": row.fields.get("id")})
        for task in tasks(data, columns, **options)
        for row in task.rows
    ]
    return sorted(found, key=lambda row: row[0])


def tokens(data: str | bytes, **options: Any) -> list[Any]:
    return [
        fields["waybill_token"] if isinstance(fields, dict) else fields
        for _, _, fields in read(data, **options)
    ]


def refused(data: str | bytes, columns: Columns = QUERY, **options: Any) -> str:
    """Return why an input is refused as a whole."""
    with pytest.raises(Problem) as raised:
        tasks(data, columns, **options)
    return raised.value.format_message()


class TestForms:
    @pytest.mark.parametrize(
        "data",
        [
            "waybill_token\nA\nB\n",
            "waybill_token\r\nA\r\nB",
            "A\nB\n",
            "\nA\n\n\nB\n\n",
            "Waybill Token\nA\nB\n",
            "查询id\nA\nB\n",
            "note,waybill_token,x\n1,A,2\n,B,\n",
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
            'waybill_token\n\'A\n="B"\n',
            'token,备注\nA,"一\n二,加急"\nB,"second\nthird line,soon\n"\n',
            '备注,token\n"一\n二,加急",A\n,"\nB"\n',
        ],
    )
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk"])
    def test_records__forms(self, data, encoding):
        """Two tokens, in each form that people have them."""
        assert ["A", "B"] == tokens(data.encode(encoding))

    @pytest.mark.parametrize("data", ["", "\n \n", "waybill_token\n"])
    def test_records__empty(self, data):
        """Without rows there are no tasks."""
        assert [] == tasks(data)

    def test_records__numbers_and_lines(self):
        """Rows count without the headings and blank lines; lines are the file's."""
        data = 'waybill_token,note\n\nA,1\n"B","two\nlines"\n\nC,3\n'

        assert [(1, 3), (2, 4), (3, 7)] == [row[:2] for row in read(data)]
        assert [(1, 1), (2, 2)] == [row[:2] for row in read("A\nB\n")]
        assert [(1, 3)] == [row[:2] for row in read("sep=;\ntoken;x\nA;1\n")]

    @pytest.mark.parametrize(
        "form, data",
        [
            ("csv", '{"A"}\n'),
            ("tsv", "waybill_token\tid\nA\t1,2\n"),
            ("jsonl", '"A"\n'),
        ],
    )
    def test_records__form_given(self, form, data):
        """A form that is given is not guessed."""
        assert 1 == len(tasks(data, form=form))

    def test_ignored__names(self):
        """Unknown headings are kept, each once and not too many."""
        found = []
        for data in (
            "备注,waybill_token,goods_name\n1,A,b\n",
            "\n".join(json.dumps({"token": "A", f"x{n % 30}": 1}) for n in range(90)),
            "row,outcome,digest,waybill_token\n1,ok,d1,A\n",
        ):
            reader = Reader(QUERY)
            tasks(data, reader=reader)
            found.append(reader.ignored)

        assert [["备注", "goods_name"], [f"x{n}" for n in range(20)], []] == found

    @pytest.mark.parametrize(
        "data, problem",
        [
            ("id,openid\n", "no column waybill_token"),
            (",,\n运单号\nSF1\n", "no column waybill_token"),
            ("收件人手机号\n1\n", "no column waybill_token"),
            ("goods_name_2\n1\n", "no column waybill_token"),
            ("token,waybill_token\n", "[several columns]"),
            ("token, token,\n", "[same headings]"),
            ('"waybill_token\nA\n', "[not CSV]"),
            ('waybill_token,id\nA,1\n"B"x,2\nC,3\n', "[not CSV]"),
            ('waybill_token,id\n"A,1\nB,2\nC",3\nD,4\n', "[not CSV]"),
            ('token,note\nA,"1\nB,2\nC,3"\n', "[not CSV]"),
            ('备注,token\n"一,A\n二, B\n三",C\n', "[not CSV]"),
            ("token\n" + "B" * 200_000, "[not CSV]"),
            ('[{"waybill_token": "A"}]', "[JSON array]"),
            ('[\n"A"]', "[JSON array]"),
        ],
    )
    def test_records__no_input(self, data, problem):
        """What rules out the whole input is reported at once."""
        assert refused(data).startswith(problem)

    def test_records__line_of_a_quote(self):
        """The message names the line on which the open quotation mark stands."""
        lines = "".join(f"T{n},1\n" for n in range(100))
        with pytest.raises(Problem) as raised:
            tasks(f'sep=,\nwaybill_token,id\nA,1\n"B,1\n{lines}')

        assert 4 == raised.value.fields["line"]


class TestEncodings:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030"])
    @pytest.mark.parametrize("is_file", [True, False])
    def test_records__chinese(self, encoding, is_file):
        """Chinese is read as it was written, from a file and from a pipe."""
        data = "waybill_token,id\nA,订单一\nB,联通\nC,龙井\n".encode(encoding)

        assert ["订单一", "联通", "龙井"] == [
            fields["id"] for _, _, fields in read(data, is_file=is_file)
        ]

    @pytest.mark.parametrize(
        "data, encoding, id_",
        [
            ("waybill_token,id\nA,联通\n".encode("gbk"), "gbk", "联通"),
            ("waybill_token,id\nA,订单\n".encode("utf-8-sig"), "gbk", "订单"),
        ],
    )
    def test_records__encoding_given(self, data, encoding, id_):
        """联通 in GBK is valid UTF-8 too: --encoding settles it, but for a BOM."""
        assert id_ == read(data, encoding=encoding)[0][2]["id"]

    @pytest.mark.parametrize(
        "data, is_file",
        [
            ("A,订单\nB,".encode() + b"\xff\xff\n" + "C,三\n".encode(), True),
            ("A,订单\nB,".encode() + b"\xe9a\n" + "C,三\n".encode(), False),
            ("A,订单\nB,".encode() + "运单\nC,3\n".encode("gbk"), False),
            ("A,运单\n".encode("gbk") + "B,订单\n".encode() + b"C,3\n", False),
            ("A,运\nC,龙\n".encode("gbk") + "B,订单\n".encode(), True),
        ],
    )
    def test_records__one_broken_line(self, data, is_file):
        """One line in another encoding is one invalid row; the others are read."""
        found = tokens(b"waybill_token,id\n" + data, is_file=is_file)

        assert {"A", UNREADABLE, "C"} == {*found}

    def test_records__pipe_is_not_awaited(self):
        """A row is there as soon as its line is."""
        file = io.BytesIO("waybill_token,id\nA,订单\nB,2\n".encode())

        next(Reader(QUERY).tasks(records(file, None, None, QUERY)))

        assert b"B,2\n" == file.read()


class TestInvalid:
    @pytest.mark.parametrize(
        "line, problem",
        [
            (",x", "waybill_token is empty"),
            (" ,x", "waybill_token is empty"),
            ("a\x00b", UNREADABLE),
            ("a\x1bb", UNREADABLE),
            ("a\ufffdb", UNREADABLE),
            ("B,1,2", "3 values, but 2 headings"),
            ("运单", "[not one waybill_token]"),
            ("B C", "[not one waybill_token]"),
            ('"B\nC"', "[not one waybill_token]"),
        ],
    )
    def test_rows__one_bad_line(self, line, problem):
        """A bad row has a problem; those around it are read."""
        found = tokens(f"waybill_token,id\nA,1\n{line}\nC,3\n")

        assert ["A", problem, "C"] == found

    @pytest.mark.parametrize(
        "line, problem",
        [
            ("{", "not a JSON object"),
            ("[" * 100_000, "not a JSON object"),
            ("3", "not a JSON object"),
            ('{"waybill_token": null}', "waybill_token is empty"),
            ("{}", "waybill_token is empty"),
            ('{"waybill_token": 1.5}', "waybill_token is not a text"),
            ('{"waybill_token": true}', "waybill_token is not a text"),
            ('{"waybill_token": ["A"]}', "waybill_token is not a text"),
            ('{"waybill_token": "\\ud800"}', UNREADABLE),
            ('{"token": "A", "waybill_token": "B"}', "[several columns]"),
            ('{"waybill_token": 1%s}' % ("0" * 5000), "1000"),
        ],
    )
    def test_rows__one_bad_object(self, line, problem):
        """So it is with JSON Lines."""
        found = tokens(f'{{"waybill_token": "A"}}\n{line}\n{{"waybill_token": 7}}\n')

        assert ["A", "7"] == [found[0], found[2]]
        assert found[1].startswith(problem)

    def test_row__id(self):
        """A row is named by its id, or by WeChat's, also if it is invalid."""
        data = "id,waybill_token,openid\nA7,,o\n,B,o\n,,o\n"

        assert ["A7", "B", None] == [task.rows[0].id for task in tasks(data)]

    def test_rows__earlier_result(self):
        """A result without a waybill_token has nothing to query."""
        data = "row,outcome,waybill_token,digest\n1,ok,A,d\n2,refused,,d\n"

        assert ["A"] == tokens(data)


class TestHeadings:
    @pytest.mark.parametrize(
        "field, headings",
        [
            (
                "receiver_phone",
                "收货人手机号 联系手机 手机号 收货人手机 收件人电话 联系电话 收货人电话 电话 "
                "手机 收方电话 收货人手机号/提货人手机号 手机号/电话 收件人固话 虚拟手机号 "
                "收件人联系电话 买家手机 收货人联系方式 手机号码 收件人手机号码 收货人电话号码 "
                "客户电话 联系方式 收件人手机/电话 Phone receiver_mobile",
            ),
            (
                "waybill_id",
                "运单编号 快递编号 物流单号 快递单号 *运单号 运单号(必填) 运单号（必填） 物流编号 "
                "快递运单号 电子面单号 包裹号 运单号码 快递号 【必填】运单号 ＊快递单号 运单号： "
                "运单号(必填，文本格式) tracking_number Waybill-No 单号 快递单 运单编码 "
                "快递/物流单号 邮件号码 发货快递单号 国内物流单号 运单号（多个请分行） "
                "\ufeff\ufeff〔运单号〕 运\u3000单\u3000号",
            ),
            (
                "goods_name",
                "宝贝标题 宝贝名称 商品标题 商品名称 货品名称 商品 产品名称 商品名 商品全名 品名 "
                "商品简称 货品简称 标题 宝贝 选购商品 货物名称 内件品名 托寄物内容",
            ),
            (
                "goods_img_url",
                "商品主图 商品图片 宝贝图片 图片 商品图片url 商品图片(URL) 主图链接 image "
                "商品图 商品封面 头图 规格图片 SKU图片 图片地址 image_url",
            ),
            ("openid", "OpenID 用户openid 买家的openid 小程序openid 下单人openid"),
            ("sender_phone", "寄件人手机 发货人电话 寄件人联系方式"),
            ("trans_id", "交易单号 微信支付交易单号 微信支付单号"),
            (
                "id",
                "订单号 订单编号 主订单编号 子订单编号 order_id 商户订单号 平台订单号 原始单号",
            ),
        ],
    )
    def test_known__of_exports(self, field, headings):
        """The headings of Taobao, Tmall, JD, Pinduoduo and WeChat's shop are known."""
        values = dict(zip(HEAD.split(","), ["o", "SF1", "138", "茶", "a"]))
        for heading in headings.split(" "):
            others = {name: value for name, value in values.items() if name != field}
            head = ",".join([f"\ufeff {heading}\u3000", *others])
            data = f"{head}\n{','.join([values.get(field, '138'), *others.values()])}\n"
            (task,) = tasks(data, TRACE)

            assert task.problem is None, heading
            assert field == "id" or field in task.fields or field[:6] == "goods_"
            assert field != "id" or task.rows[0].id == "138"

    @pytest.mark.parametrize(
        "heading",
        (
            "物流公司 快递公司 收货人姓名 收货地址 商品ID 商品数量 运送方式 收货方式 商品总价 "
            "店铺名称 买家留言 订单状态 图片数量 快递费 快递公司编码 收件人 商品规格 商品链接 "
            "发货单号 售后单号 运单状态 规格名称"
        ).split(),
    )
    def test_known__other_columns(self, heading):
        """What stands beside them is not taken for one of them."""
        reader = Reader(TRACE)
        (task,) = tasks(f"{HEAD},{heading}\no,SF1,138,茶,a,x\n", TRACE, reader=reader)

        assert ([heading], None) == (reader.ignored, task.problem)
        assert "x" not in task.fields.values()

    @pytest.mark.parametrize(
        "head, given, sent, ignored",
        [
            ("单号,快递单号", [], "SF2", ["单号"]),
            ("快递单号,运单", [], "SF1", ["运单"]),
            ("单号,快递单号", ["单号=waybill_id"], "SF1", ["快递单号"]),
            ("单号,备注", [], "SF1", ["备注"]),
        ],
    )
    def test_known__exact_heading_wins(self, head, given, sent, ignored):
        """A vague heading counts if no exact one of its field is there."""
        data = f"openid,{head},手机,商品简称,商品名称,图片\no,SF1,SF2,138,茶,龙井茶,a\n"
        reader = Reader(TRACE, check_given(given, TRACE))
        (task,) = tasks(data, TRACE, reader=reader)

        assert (sent, "龙井茶") == (
            task.fields["waybill_id"],
            task.goods and task.goods.detail_list[0].goods_name,
        )
        assert [*ignored, "商品简称"] == reader.ignored

    def test_known__two_phones(self):
        """Of several phones the first that is filled counts, mobile ones first."""
        data = (
            "openid,运单号,联系电话,联系手机,商品名称,图片\n"
            "o,SF1,0755-26001234,13800138000,茶,a\no,SF2,0755-26001234,,茶,a\n"
        )

        buyer = "openid,运单号,买家手机,收货人电话,商品名称,图片\no,SF3,139,138,茶,a\n"

        assert ["13800138000", "0755-26001234", "138"] == [
            task.fields["receiver_phone"]
            for task in (*tasks(data, TRACE), *tasks(buyer, TRACE))
        ]

    def test_complete__says_what_would_do(self):
        """A refusal lists what was found, what would do, and how to name a column."""
        text = refused("订单编号,买家昵称,物流单号\n1,2,3\n", TRACE)

        assert [
            "no column openid, receiver_phone, goods_name, goods_img_url",
            "openid: openid, 用户openid, 买家openid",
            "receiver_phone: receiver_phone, 收件人手机号, 收货人手机号, 联系手机, 手机号, "
            "联系电话, 收件人电话",
            "goods_name: goods_name, 商品名称, 商品标题, 宝贝标题, 宝贝名称, 商品简称, 商品",
            "goods_img_url: goods_img_url, 商品图片, 商品主图, 宝贝图片, 图片",
            "Without pictures, add an empty column goods_img_url.",
            "Found: 订单编号, 买家昵称, 物流单号",
            "Name a column: --map 'HEADING=openid'",
        ] == text.splitlines()

    @pytest.mark.parametrize("field", HEADINGS)
    def test_headings__examples_are_known(self, field):
        """Each heading that a message names is known."""
        columns = Columns((), (field,))

        for name in [field, *HEADINGS[field][0].split(" ")]:
            assert field == field_of(name, columns)

    @pytest.mark.parametrize(
        "head",
        ["goods_name", "goods_name,商品大图", "goods_name,goods_img_url,goods_name_2"],
    )
    def test_complete__unknown_picture(self, head):
        """A picture's column that is not known is an error, never an empty picture."""
        values = ",".join("x" * (head.count(",") + 1))
        data = f"openid,waybill_id,receiver_phone,{head}\no,SF1,138,{values}\n"
        line = (
            '{"openid": "o", "waybill_id": "SF1", "receiver_phone": "138", '
            '"goods_name": "茶", "pics": "a"}'
        )

        assert refused(data, TRACE).startswith("no column goods_img_url")
        assert "[image is missing]" == read(line, TRACE)[0][2]

    @pytest.mark.parametrize(
        "given, found",
        [
            (["客户的电话=receiver_phone"], "138"),
            (["客户的电话=receiver_phone", "备用=goods_name_2"], "138"),
        ],
    )
    def test_map__names_the_rest(self, given, found):
        """--map names a column that is not known, and goes before those that are."""
        data = (
            "openid,运单号,客户的电话,手机号,商品名称,图片,备用,图片2\n"
            "o,SF1,138,139,茶,a,杯,\n"
        )
        (task,) = tasks(data, TRACE, given=given)

        assert found == task.fields["receiver_phone"]
        assert task.goods and len(given) == len(task.goods.detail_list)

    @pytest.mark.parametrize(
        "given, problem",
        [
            ("联系手机", "[not a map]"),
            ("=openid", "[not a map]"),
            ("a=phone", "[not a map]"),
            ("a=openid_2", "[not a map]"),
            ("a=goods_name_11", "[not a map]"),
            ("none=openid", "no column none\nFound: openid, waybill_id, receiver_"),
        ],
    )
    def test_map__wrong(self, given, problem):
        """One that cannot be is refused, with what was found."""
        assert refused(f"{HEAD}\n", TRACE, given=[given]).startswith(problem)

    def test_known__very_long_number(self):
        """A heading with 5,000 digits is none of ours."""
        assert "waybill_token is empty" == read(f'{{"token{"1" * 5000}": "x"}}')[0][2]


class TestTrace:

    @pytest.mark.parametrize(
        "head, values, goods",
        [
            ("goods_name_1,goods_img_url_1", "茶,a", [("茶", "a")]),
            ("商品名称,图片,商品名称2,图片2", "茶,a,杯,b", [("茶", "a"), ("杯", "b")]),
            (
                "goods_name,图片,goods_name3,图片3,goods_name_10,图片10",
                "a,,b,,c,",
                [("a", ""), ("b", ""), ("c", "")],
            ),
            ("goods_name,图片,goods_name_2,图片2", "a,x,,", [("a", "x")]),
            ("goods", "茶=a|杯=b?x=1", [("茶", "a"), ("杯", "b?x=1")]),
            (
                "goods",
                '"[{""goods_name"": ""茶"", ""goods_img_url"": ""a""}]"',
                [("茶", "a")],
            ),
            ("goods", '"{""goods_name"":\n ""茶""}"', [("茶", "")]),
            ("goods,goods_name", "茶=a,杯", [("茶", "a")]),
        ],
    )
    def test_tasks__goods(self, head, values, goods):
        """Goods in columns of their own, or all in one."""
        data = f"openid,waybill_id,receiver_phone,{head}\no,SF1,138,{values}\n"
        (task,) = tasks(data, TRACE)

        assert "" == why(task) and task.goods
        assert goods == [
            (detail.goods_name, detail.goods_img_url)
            for detail in task.goods.detail_list
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
    def test_tasks__goods_in_json(self, name, goods):
        """A line may be the API's own body."""
        line = (
            '{"openid": "o", "waybill_id": "SF1", "receiver_phone": 13800138000, '
            f'"{name}": {goods}}}'
        )
        (task,) = tasks(line, TRACE)

        assert "13800138000" == task.fields["receiver_phone"]
        assert task.goods
        assert (GoodsDetail("茶", "a"),) == task.goods.detail_list

    @pytest.mark.parametrize(
        "values, problem",
        [
            (",SF1,138,茶,a", "openid is empty"),
            ("o,,138,茶,a", "waybill_id is empty"),
            ("o,SF1,,茶,a", "receiver_phone is empty"),
            ("o,SF1,138,,", "goods_name is empty"),
            ("o p,SF1,138,茶,a", "[not one openid]"),
            ("o,SF1,138,,a", "goods without a goods_name"),
            ("o,SF1,138,茶\x07,a", UNREADABLE),
            ("o,7.77123E+14,138,茶,a", "[rounded]"),
            ('o,SF1,"1,38E+10",茶,a', "[rounded]"),
            ("o,SF1,138,6.90123E+12,a", "[rounded]"),
        ],
    )
    def test_rows__bad_values(self, values, problem):
        """What cannot be registered is known before anything is sent."""
        assert [(1, 2, problem)] == read(f"{HEAD}\n{values}\n", TRACE)

    @pytest.mark.parametrize(
        "number",
        ["无", "待发货", "-", "--", "NULL", "None", "n/a", "0", "顺丰SF1234567890123"]
        + ["SF1234567890123:1234", "SF1234567890123/SF1234567890124", "########"]
        + ["771234567890123-771234567890124", "SF1 SF2", "SF1、SF2", "#N/A", "1.38e14"]
        + ["\uff33F1", "SF\u200b1", "SF1;SF2", "已签收", "SF1\nSF2", "777.5"]
        + ["\uff11\uff12\uff13", "SF1,SF2", "无物流", "自提", "000000", "2026-11-24"]
        + ["SF1(顺丰)", "SF1+SF2", "#REF!", "771,234,567", "true", "\u0661\u0662"],
    )
    def test_rows__no_waybill_number(self, number):
        """A cell that cannot be one waybill number is refused."""
        ((_, line, found),) = read(f'{HEAD}\no,"{number}",138,茶,a\n', TRACE)

        assert 2 == line
        assert "[not one waybill_id]" == found

    @pytest.mark.parametrize(
        "phone",
        ["138****8000", "13800138000/13900139000", "13800138000 13900139000", "无", "-"]
        + ["张三 13800138000", "13800138000,13900139000", "NULL", "0", "########"]
        + ["\uff11\uff13\uff18", "\u202a13800138000", "1.38e10", "13800138000;139"]
        + ["13800138000 0755-26001234", "138xxxx8000", "00000000000", "12"]
        + ["13800138000张三"],
    )
    def test_rows__no_phone(self, phone):
        """A cell that cannot be one phone number is refused."""
        ((_, line, found),) = read(f'{HEAD}\no,SF1,"{phone}",茶,a\n', TRACE)

        assert 2 == line
        assert "[not one receiver_phone]" == found

    @pytest.mark.parametrize(
        "number, sent",
        [
            ('="771234567890123"', "771234567890123"),
            ("'771234567890123", "771234567890123"),
            ("\u2019771234567890123", "771234567890123"),
            ("\t771234567890123 ", "771234567890123"),
            ("771234567890123.0", "771234567890123"),
            ("SF1234567890123\n", "SF1234567890123"),
            ("JDVA12345678901-1-1-", "JDVA12345678901-1-1-"),
            ("WXTESTEXPRESS0000014", "WXTESTEXPRESS0000014"),
        ],
    )
    def test_rows__good_waybill_numbers(self, number, sent):
        """What protects a number from a spreadsheet is dropped."""
        number = number.replace('"', '""')
        ((_, _, fields),) = read(f'{HEAD}\no,"{number}",138,茶,a\n', TRACE)

        assert sent == fields["waybill_id"]

    @pytest.mark.parametrize(
        "phone, sent",
        [
            ("+86 138-0013-8000", "+86 138-0013-8000"),
            ("13800138000转12 34", "13800138000转12 34"),
            ("13800138000-1234", "13800138000-1234"),
            ("0755-26001234", "0755-26001234"),
            ("(0755)26001234", "(0755)26001234"),
            ("400-800-1234", "400-800-1234"),
            ("8000", "8000"),
            ("+86 138 0013 8000", "+86 138 0013 8000"),
            ("(0755) 12345678", "(0755) 12345678"),
            # What Taobao and JD show in place of the customer's own.
            ("18400000000-1234", "18400000000-1234"),
            ("18400000000 转 1234", "18400000000 转 1234"),
            ("'13800138000", "13800138000"),
            ('="13800138000"', "13800138000"),
            ("13800138000.0", "13800138000"),
        ],
    )
    def test_rows__good_phones(self, phone, sent):
        """What people write into a phone number is kept."""
        phone = phone.replace('"', '""')
        ((_, _, fields),) = read(f'{HEAD}\no,SF1,"{phone}",茶,a\n', TRACE)

        assert sent == fields["receiver_phone"]

    @pytest.mark.parametrize(
        "values, message",
        [
            ("o,SF\u200b1,138,茶,a", "waybill_id 'SF\\u200b1' is not one waybill num"),
            ("o,SF1,138****8000,茶,a", "receiver_phone '138****8000' is not one phone"),
            ("o,7.7E+14,138,茶,a", "waybill_id 7.7E+14 was rounded by a spreadsheet"),
            (f"o,{'x' * 99},138,茶,a", f"waybill_id '{'x' * 60}' is not one waybill"),
        ],
    )
    def test_rows__message(self, values, message):
        """The message shows the cell, and what cannot be seen in it."""
        with speak("en"):
            ((_, _, found),) = read(f"{HEAD}\n{values}\n", TRACE)

        assert found.startswith(message)

    @pytest.mark.parametrize(
        "id_, found", [("3E12", "3E12"), ("#7", "#7"), ("2.02E+17", None)]
    )
    def test_rows__rounded_id(self, id_, found):
        """An id is what you like, but not what a spreadsheet has rounded."""
        ((_, _, fields),) = read(f"id,waybill_token\n{id_},A\n")

        assert (fields["id"] if found else fields) == (found or "[rounded]")

    @pytest.mark.parametrize(
        "goods",
        ["茶\ufffd=a", '[{""goods_name"": ""茶"", ""goods_desc"": ""\\u0007""}]'],
    )
    def test_rows__broken_goods(self, goods):
        """Goods that are written in one value are checked as well."""
        data = f'openid,waybill_id,receiver_phone,goods\no,S1,138,"{goods}"\n'

        assert UNREADABLE == read(data, TRACE)[0][2]


class TestParcels:
    @pytest.mark.parametrize("between", [0, 5_000])
    def test_tasks__rows_of_one_parcel(self, between):
        """Rows of one parcel are one registration, its same articles one."""
        others = "".join(f"o,YT{n},138,茶,a\n" for n in range(between))
        data = f"{HEAD}\no,SF1,138,茶,a\n{others}o,SF1,138,杯,b\no,SF1,138,茶,a\n"
        first, *rest = tasks(data, TRACE)

        assert first.goods and "" == why(first)
        assert ["茶", "杯"] == [each.goods_name for each in first.goods.detail_list]
        assert [1, between + 2, between + 3] == [row.number for row in first.rows]
        assert between == len(rest)

    def test_tasks__same_number_of_two_customers(self):
        """Another customer's parcel is another one."""
        data = f"{HEAD}\no,SF1,138,茶,a\np,SF1,138,咖啡,b\n"

        assert ["o", "p"] == [task.fields["openid"] for task in tasks(data, TRACE)]

    @pytest.mark.parametrize(
        "second, why",
        [
            ("o,SF1,139,杯,b", "[parcel differs]"),
            ("o,SF1,138****8000,杯,b", "[parcel has problem]"),
            ("o,SF1,138,,", "[parcel has problem]"),
            (",SF1,138,杯,b", "[parcel has problem]"),
            (",,,杯,b", "[parcel has problem]"),
        ],
    )
    @pytest.mark.parametrize("turned", [False, True])
    def test_tasks__all_or_none(self, second, why, turned):
        """If one row of a parcel cannot be used, all of them are refused."""
        rows = ["o,SF1,138,茶,a", second]
        if turned and not second.startswith(",,"):
            rows.reverse()
        data = "\n".join([HEAD, *rows, "o,SF2,138,茶,a"])
        one, other = tasks(data, TRACE)

        assert one.problem and why == one.problem.message
        assert (2, None, 1) == (len(one.rows), other.problem, len(other.rows))

    @pytest.mark.parametrize(
        "row, rows",
        [
            # A sum that names no word for it.
            ("1 单,,,,1,", 1),
            # Another order, which has no waybill yet.
            ("A2,o,,138,杯,b", 1),
            ("A2,,,138,杯,b", 2),
            # What merged cells leave.
            (",,,,杯,b", 2),
            ("A1,,,,杯,b", 2),
            ("A1,o,,138,杯,b", 2),
            ("A1,o,SF1:,138,杯,b", 2),
            (",o,,138,杯,b", 2),
            (",o,SF2:,138,杯,b", 1),
        ],
    )
    def test_tasks__row_below_a_parcel(self, row, rows):
        """A row without a waybill_id is of the parcel above if it may be."""
        found = tasks(f"id,{HEAD}\nA1,o,SF1,138,茶,a\n{row}\n", TRACE)

        assert rows == len(found[0].rows)
        assert (rows == 1) == (found[0].problem is None)

    @pytest.mark.parametrize(
        "rows, skipped, count",
        [
            (["合计,,,,1,"], [3], 1),
            (["合计：1 单,,,,,", "总 计,,合计,,,9"], [3, 4], 1),
            (["", ",Grand Total,,,,", ""], [4], 1),
            # Not at the end, with a number, or a word within the row.
            (["合计,,,,1,", "A2,p,SF2,138,杯,b"], [], 3),
            (["合计,,SF9,,1,"], [], 2),
            (["A2,合计,,,1,"], [], 2),
        ],
    )
    def test_tasks__sum(self, rows, skipped, count):
        """The sum below a table is skipped, and is not a row."""
        data = "\n".join([f"id,{HEAD}", "A1,o,SF1,138,茶,a", *rows, ""])
        reader = Reader(TRACE)
        found = tasks(data, TRACE, reader=reader)

        assert (skipped, count) == (reader.skipped, reader.rows_read)
        assert count == sum(len(task.rows) for task in found)
        assert found[0].problem is None

    def test_tasks__order_elsewhere(self):
        """A row that cannot be used holds back its order's parcel, wherever it is."""
        rows = "A1,o,无,138,杯,b\nB,p,SF2,138,碗,c\nA1,o,SF1,138,茶,a"
        found = tasks(f"id,{HEAD}\n{rows}\n", TRACE)

        assert [[1, 3], [2]] == [[row.number for row in task.rows] for task in found]

    def test_tasks__more_than_ten_goods(self):
        """Eleven articles are one too many, in one row or in several."""
        rows = "".join(f"o,SF1,138,茶{n},a\n" for n in range(11))
        (task,) = tasks(f"{HEAD}\n{rows}", TRACE)
        names = ",".join(f"goods_name_{n},图片{n}" for n in range(1, 12))
        data = f"openid,waybill_id,receiver_phone,{names}\no,S1,138{',a' * 22}\n"

        assert ("[parcel too large]", 11) == (why(task), len(task.rows))
        assert "11 goods; WeChat takes 1 to 10" == read(data, TRACE)[0][2]

    def test_tasks__row_without_a_parcel(self):
        """A row that names no waybill yet, but its customer, is alone."""
        data = f"{HEAD}\no,SF1,138,茶,a\np,,139,杯,b\n,,,杯,b\n"

        assert [["SF1"], [None, None]] == [
            [row.fields.get("waybill_id") for row in task.rows]
            for task in tasks(data, TRACE)
        ]

    def test_digest__content(self):
        """The digest changes with what is sent, and is not a number."""
        (one,) = tasks(f"{HEAD}\no,SF1,138,茶,a\n", TRACE)
        (same,) = tasks(f"备注,{HEAD}\nx,o,SF1,138,茶,a\n", TRACE)
        (more,) = tasks(f"{HEAD}\no,SF1,138,茶,a\no,SF1,138,杯,b\n", TRACE)

        assert one.digest == same.digest
        assert one.digest != more.digest
        assert "d" == one.digest[0] and 13 == len(one.digest)


class TestWorkbook:
    def sheet(self, rows: list[list[Any]]) -> bytes:
        openpyxl = pytest.importorskip("openpyxl")
        book = openpyxl.Workbook()
        sheet = book.create_sheet("订单")
        for row in rows:
            sheet.append(row)
        file = io.BytesIO()
        book.save(file)
        return file.getvalue()

    def test_workbook__read(self):
        """Numbers are read as they are shown; a rounded one is refused."""
        data = self.sheet(
            [
                HEAD.split(","),
                ["o", 771234567890123, 13800138000, "茶", "a"],
                [None] * 5,
                ["o", "SF2", "138", "杯", None],
                ["o", 7712345678901234567, 138, "杯", "b"],
                ["o", 77123.5, 138, "杯", "b"],
                ["o", "SF3", 138, 1.5, 0.1 + 0.2],
                ["o", "SF4", 138, 6901234567890123, "b"],
            ]
        )
        found = [*Reader(TRACE).tasks(with_headings(workbook(data), TRACE))]

        assert [
            ("771234567890123", "13800138000"),
            ("SF2", "138"),
            (None, "138"),
            (None, "138"),
            ("SF3", "138"),
            ("SF4", "138"),
        ] == [
            (task.fields.get("waybill_id"), task.fields["receiver_phone"])
            for task in found
        ]
        assert [2, 4, 5, 6, 7, 8] == [task.rows[0].line for task in found]
        problems = ["", "", "[rounded]", "[not one waybill_id]", "", "[rounded]"]
        assert problems == [why(task) for task in found]
        goods = found[4].goods
        assert goods and (GoodsDetail("1.5", "0.3"),) == goods.detail_list

    def test_workbook__none(self, monkeypatch):
        """A file that only begins like one, an empty one, and a missing extra."""
        with pytest.raises(Problem, match="not an Excel workbook"):
            list(workbook(b"PK\x03\x04rubbish"))
        assert [] == list(workbook(self.sheet([])))
        monkeypatch.setitem(sys.modules, "python_calamine", None)
        with pytest.raises(Problem, match="extra excel"):
            list(workbook(b"PK\x03\x04"))


class TestHeads:

    def test_tasks__title_above_the_headings(self):
        """The message says where headings are looked for."""
        with pytest.raises(Problem) as caught:
            tasks("11月订单导出\no,SF1,138,茶,a\n", TRACE)

        assert "[headings first]" in caught.value.format_message()

    def test_source__not_a_workbook(self, tmp_path):
        """A file NAME.xlsx that holds anything else is not read as text."""
        for data in (b"x", b"id,openid\n", bytes(range(256))):
            (tmp_path / "orders.xlsx").write_bytes(data)
            with pytest.raises(Problem) as caught:
                name = str(tmp_path / "orders.xlsx")
                list(source.read(name, TRACE, None, None, threading.Event()))

            assert "not an Excel workbook: {reason}" == caught.value.message
