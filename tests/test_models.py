"""WeChat's shapes: read whatever comes, keep all of it, never raise."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any, Callable

import attrs
import pytest

from wxlogistics import models
from wxlogistics.models import (
    DeliveryInfo,
    GoodsDetail,
    GoodsInfo,
    PathAction,
    ShopInfo,
    Trace,
    WaybillInfo,
    WaybillStatus,
    delivery_list,
    has_status,
)

SCARF = GoodsDetail(
    "羊毛围巾", "https://img.example.com/%E5%9B%B4%E5%B7%BE.jpg", "红色 一条"
)
COURIER = PathAction(1779249600, 500001, "快件正在派送中,快递员:张三,电话:13800138000")

#: A sample of each model, and what its first occurrence says.
SAMPLED = {
    "DeliveryInfo": ("get_delivery_list.reply", DeliveryInfo("(AU)", "Interparcel")),
    "GoodsDetail": ("query_trace.reply", GoodsDetail("测试名字", "www.qq.com")),
    "GoodsInfo": (
        "query_trace.reply",
        GoodsInfo(
            [
                GoodsDetail("测试名字", "www.qq.com"),
                GoodsDetail("测试名字2", "www.qq.com"),
            ]
        ),
    ),
    "PathAction": ("query_follow_trace.reply.path_action", COURIER),
    "ShopInfo": ("query_trace.reply.delivery_info", ShopInfo(GoodsInfo([SCARF]))),
    "Trace": (
        "query_trace.reply.delivery_info",
        Trace(
            WaybillInfo(WaybillStatus.IN_TRANSIT, "SF1234567890123"),
            ShopInfo(GoodsInfo([SCARF])),
            DeliveryInfo("SF", "顺丰速运"),
            {
                "errcode": 0,
                "errmsg": "ok",
                "waybill_info": {"status": 2, "waybill_id": "SF1234567890123"},
                "shop_info": {
                    "goods_info": {
                        "detail_list": [
                            {
                                "goods_name": "羊毛围巾",
                                "goods_img_url": (
                                    "https://img.example.com/%E5%9B%B4%E5%B7%BE.jpg"
                                ),
                                "goods_desc": "红色 一条",
                            }
                        ]
                    }
                },
                "delivery_info": {"delivery_id": "SF", "delivery_name": "顺丰速运"},
            },
        ),
    ),
    "WaybillInfo": (
        "query_trace.reply",
        WaybillInfo(WaybillStatus.NOT_COLLECTED, "WXTESTEXPRESS0000014"),
    ),
}

Sample = Callable[[str], bytes]


def inside(value: object) -> list[object]:
    """*value* and all the models in it, the outer before the inner."""
    found = [value] if attrs.has(type(value)) else []
    if isinstance(value, tuple):
        inner = list(value)
    else:
        inner = (
            [getattr(value, a.name) for a in attrs.fields(type(value))] if found else []
        )
    return [*found, *(model for each in inner for model in inside(each))]


def read(name: str, reply: dict[str, Any]) -> object:
    return (
        delivery_list(reply)
        if name.startswith("get_delivery_list")
        else Trace.from_reply(reply)
    )


class TestSamples:
    @pytest.mark.parametrize("model", SAMPLED)
    def test_models__read_from_their_sample(self, sample: Sample, model: str) -> None:
        """Each model is read, with every field, from a file that WeChat could send."""
        name, expected = SAMPLED[model]
        found = inside(read(name, json.loads(sample(f"{name}.json"))))

        assert expected == next(each for each in found if model == type(each).__name__)

    def test_models__each_has_a_sample(self) -> None:
        """A model added to the module needs a sample."""
        classes = {name for name, one in vars(models).items() if attrs.has(one)}

        assert set(SAMPLED) == classes

    def test_models__fields_are_wechats_keys(self) -> None:
        """The fields carry the names of the document."""
        fields = {
            name: [field.name for field in attrs.fields(getattr(models, name))]
            for name in SAMPLED
        }

        assert {
            "DeliveryInfo": ["delivery_id", "delivery_name"],
            "GoodsDetail": ["goods_name", "goods_img_url", "goods_desc"],
            "GoodsInfo": ["detail_list"],
            "PathAction": ["action_time", "action_type", "action_msg"],
            "ShopInfo": ["goods_info"],
            "Trace": ["waybill_info", "shop_info", "delivery_info", "raw"],
            "WaybillInfo": ["status", "waybill_id", "path"],
        } == fields

    def test_from_reply__document(self, sample: Sample) -> None:
        """The document's example says where the parcel is and what is in it."""
        trace = Trace.from_reply(json.loads(sample("query_trace.reply.json")))

        assert WaybillStatus.NOT_COLLECTED is trace.status
        assert "WXTESTEXPRESS0000014" == trace.waybill_id
        assert (
            GoodsDetail("测试名字", "www.qq.com"),
            GoodsDetail("测试名字2", "www.qq.com"),
        ) == trace.goods
        assert trace.delivery_info is None
        assert () == trace.waybill_info.path

    def test_from_reply__path_action(self, sample: Sample) -> None:
        """The undocumented steps are read in WeChat's order, newest first."""
        trace = Trace.from_reply(
            json.loads(sample("query_follow_trace.reply.path_action.json"))
        )

        assert (
            COURIER,
            PathAction(1779206400, 500001, "快件已到达【杭州转运中心】"),
            PathAction(0, 500001, "顺丰速运 已收取快件"),
        ) == trace.waybill_info.path


class TestLeniency:
    @pytest.mark.parametrize(
        "reply, expected",
        [
            ({}, WaybillInfo()),
            ({"waybill_info": None}, WaybillInfo()),
            ({"waybill_info": "x"}, WaybillInfo()),
            ({"waybill_info": []}, WaybillInfo()),
            ({"waybill_info": 7}, WaybillInfo()),
            ({"waybill_info": {}}, WaybillInfo()),
            (
                {"waybill_info": {"status": None, "waybill_id": None, "path": None}},
                WaybillInfo(),
            ),
            ({"waybill_info": {"status": 4}}, WaybillInfo(WaybillStatus.SIGNED)),
            ({"waybill_info": {"status": "4"}}, WaybillInfo(WaybillStatus.SIGNED)),
            ({"waybill_info": {"status": 4.0}}, WaybillInfo(WaybillStatus.SIGNED)),
            ({"waybill_info": {"status": 4.5}}, WaybillInfo()),
            ({"waybill_info": {"status": "4.0"}}, WaybillInfo()),
            ({"waybill_info": {"status": "signed"}}, WaybillInfo()),
            ({"waybill_info": {"status": ""}}, WaybillInfo()),
            ({"waybill_info": {"status": True}}, WaybillInfo()),
            ({"waybill_info": {"status": [4]}}, WaybillInfo()),
            ({"waybill_info": {"status": {}}}, WaybillInfo()),
            ({"waybill_info": {"status": float("nan")}}, WaybillInfo()),
            ({"waybill_info": {"status": float("inf")}}, WaybillInfo()),
            ({"waybill_info": {"status": 99}}, WaybillInfo(WaybillStatus(99))),
            ({"waybill_info": {"status": "-1"}}, WaybillInfo(WaybillStatus(-1))),
            ({"waybill_info": {"status": 10**30}}, WaybillInfo(WaybillStatus(10**30))),
            ({"waybill_info": {"waybill_id": ""}}, WaybillInfo(0, "")),
            ({"waybill_info": {"waybill_id": 1234}}, WaybillInfo(0, "1234")),
            ({"waybill_info": {"waybill_id": 1.5}}, WaybillInfo()),
            ({"waybill_info": {"waybill_id": True}}, WaybillInfo()),
            ({"waybill_info": {"waybill_id": ["x"]}}, WaybillInfo()),
            ({"waybill_info": {"waybill_id": "x", "new": 1}}, WaybillInfo(0, "x")),
        ],
    )
    def test_waybill_info__any_shape(
        self, reply: dict[str, Any], expected: WaybillInfo
    ) -> None:
        """
        What is left out or makes no sense is 0 or empty; a number may come as a string.
        """
        assert expected == Trace.from_reply(reply).waybill_info

    @pytest.mark.parametrize(
        "path, expected",
        [
            (None, ()),
            ([], ()),
            ("x", ()),
            ({}, ()),
            ({"path_action": None}, ()),
            ({"path_action": {}}, ()),
            ({"path_action": "x"}, ()),
            ({"path_action": []}, ()),
            ({"path_action": [None, "x", 1, []]}, ()),
            ({"path_action": [{}]}, (PathAction(),)),
            (
                {"path_action": [{"action_time": None, "action_msg": None}]},
                (PathAction(),),
            ),
            (
                {"path_action": [{"action_time": "1779249600", "action_type": "5"}]},
                (PathAction(1779249600, 5),),
            ),
            (
                {"path_action": [{"action_time": "noon", "action_msg": 5}]},
                (PathAction(0, 0, "5"),),
            ),
            (
                {"path_action": [1, {"action_msg": "已签收", "new": 1}]},
                (PathAction(0, 0, "已签收"),),
            ),
        ],
    )
    def test_path__any_shape(
        self, path: object, expected: tuple[PathAction, ...]
    ) -> None:
        """The undocumented steps may change their shape; then there are none."""
        trace = Trace.from_reply({"waybill_info": {"path": path}})

        assert expected == trace.waybill_info.path

    @pytest.mark.parametrize(
        "reply, expected",
        [
            ({}, ShopInfo()),
            ({"shop_info": None}, ShopInfo()),
            ({"shop_info": []}, ShopInfo()),
            ({"shop_info": "x"}, ShopInfo()),
            ({"shop_info": {}}, ShopInfo()),
            ({"shop_info": {"goods_info": None}}, ShopInfo()),
            ({"shop_info": {"goods_info": []}}, ShopInfo()),
            ({"shop_info": {"goods_info": "x"}}, ShopInfo()),
            ({"shop_info": {"goods_info": {}}}, ShopInfo(GoodsInfo([]))),
            (
                {"shop_info": {"goods_info": {"detail_list": None}}},
                ShopInfo(GoodsInfo([])),
            ),
            (
                {"shop_info": {"goods_info": {"detail_list": {}}}},
                ShopInfo(GoodsInfo([])),
            ),
            (
                {"shop_info": {"goods_info": {"detail_list": [None, 1, "x", []]}}},
                ShopInfo(GoodsInfo([])),
            ),
            (
                {"shop_info": {"goods_info": {"detail_list": [{}]}}},
                ShopInfo(GoodsInfo([GoodsDetail("", "")])),
            ),
            (
                {
                    "shop_info": {
                        "goods_info": {
                            "detail_list": [
                                {"goods_name": 7, "goods_img_url": [], "new": {}}
                            ]
                        },
                        "new": 1,
                    }
                },
                ShopInfo(GoodsInfo([GoodsDetail("7", "")])),
            ),
        ],
    )
    def test_shop_info__any_shape(
        self, reply: dict[str, Any], expected: ShopInfo
    ) -> None:
        """What is left out or makes no sense is empty."""
        assert expected == Trace.from_reply(reply).shop_info

    @pytest.mark.parametrize(
        "reply, expected",
        [
            ({}, None),
            ({"delivery_info": None}, None),
            ({"delivery_info": []}, None),
            ({"delivery_info": "SF"}, None),
            ({"delivery_info": {}}, DeliveryInfo()),
            ({"delivery_info": {"delivery_id": "SF"}}, DeliveryInfo("SF")),
            (
                {"delivery_info": {"delivery_id": 5, "delivery_name": {}, "new": 1}},
                DeliveryInfo("5"),
            ),
        ],
    )
    def test_delivery_info__any_shape(
        self, reply: dict[str, Any], expected: DeliveryInfo | None
    ) -> None:
        """The document's table has it, its example has not."""
        assert expected == Trace.from_reply(reply).delivery_info

    @pytest.mark.parametrize(
        "reply, expected",
        [
            ({}, ()),
            ({"delivery_list": None}, ()),
            ({"delivery_list": {}}, ()),
            ({"delivery_list": "x"}, ()),
            ({"delivery_list": []}, ()),
            ({"delivery_list": [None, "SF", 1, []]}, ()),
            ({"delivery_list": [{}], "count": 9}, (DeliveryInfo(),)),
            (
                {"delivery_list": [1, {"delivery_id": "SF", "new": 1}]},
                (DeliveryInfo("SF"),),
            ),
        ],
    )
    def test_delivery_list__any_shape(
        self, reply: dict[str, Any], expected: tuple[DeliveryInfo, ...]
    ) -> None:
        """What is no carrier is passed over."""
        assert expected == delivery_list(reply)


class TestTrace:
    def test_raw__is_the_reply(self) -> None:
        """Nothing that WeChat sends is lost: raw is the very reply."""
        reply = {"errcode": 0, "waybill_info": {"status": 4}, "new": {"deep": [1]}}

        assert reply is Trace.from_reply(reply).raw

    def test_eq__same_reply(self) -> None:
        """Equal replies are equal Traces, with equal hashes."""
        one = Trace.from_reply({"waybill_info": {"status": 4}})
        other = Trace.from_reply({"waybill_info": {"status": 4}})

        assert one == other
        assert hash(one) == hash(other)
        assert {one} == {one, other}

    def test_eq__differs_in_raw_alone(self) -> None:
        """A field that this library does not know makes a difference."""
        one = Trace.from_reply({"waybill_info": {"status": 4}})
        other = Trace.from_reply({"waybill_info": {"status": 4}, "new": 1})

        assert one != other

    def test_shortcuts__nothing_there(self) -> None:
        """
        A Trace made by hand has a status, a number and goods that need no None check.
        """
        trace = Trace()

        assert WaybillStatus.NOT_COLLECTED is trace.status
        assert "" == trace.waybill_id
        assert () == trace.goods

    @pytest.mark.parametrize(
        "reply, expected",
        [
            ({"waybill_info": {"status": 0}}, True),
            ({"waybill_info": {"status": "4"}}, True),
            ({"waybill_info": {"status": 99}}, True),
            ({"waybill_info": {"status": None}}, False),
            ({"waybill_info": {"status": "signed"}}, False),
            ({"waybill_info": {"status": True}}, False),
            ({"waybill_info": {"waybill_id": "SF1"}}, False),
            ({"waybill_info": []}, False),
            ({}, False),
        ],
    )
    def test_has_status__any_shape(self, reply: dict[str, Any], expected: bool) -> None:
        """Only a number, or one as a string, says where the parcel is."""
        assert expected is has_status(reply)

    def test_goods__shop_info_without_goods(self) -> None:
        """A shop_info may be empty."""
        assert () == Trace.from_reply({"shop_info": {}}).goods

    def test_repr__no_raw(self, sample: Sample) -> None:
        """A logged Trace shows its steps once."""
        reply = json.loads(sample("query_follow_trace.reply.path_action.json"))
        shown = repr(Trace.from_reply(reply))

        assert 1 == shown.count("快件正在派送中")
        assert "raw" not in shown

    def test_pickle__keeps_everything(self, sample: Sample) -> None:
        """A Trace can be cached and sent to another process."""
        trace = Trace.from_reply(
            json.loads(sample("query_follow_trace.reply.path_action.json"))
        )
        arrived = pickle.loads(pickle.dumps(trace))

        assert trace == arrived
        assert trace.raw == arrived.raw
        assert WaybillStatus.OUT_FOR_DELIVERY is arrived.status


class TestGoodsInfo:
    def test_detail_list__any_iterable(self) -> None:
        """A list, a tuple or a generator: a tuple is kept."""
        details = [GoodsDetail("a", ""), GoodsDetail("b", "")]

        assert tuple(details) == GoodsInfo(details).detail_list
        assert tuple(details) == GoodsInfo(tuple(details)).detail_list
        assert tuple(details) == GoodsInfo(each for each in details).detail_list

    def test_detail_list__a_copy(self) -> None:
        """What happens to the list later changes nothing."""
        details = [GoodsDetail("a", "")]
        goods_info = GoodsInfo(details)
        details.clear()

        assert (GoodsDetail("a", ""),) == goods_info.detail_list


MODELS = [
    GoodsDetail("a", "https://a.example/", "b"),
    GoodsInfo([GoodsDetail("a", "")]),
    PathAction(0, 500001, "已签收"),
    WaybillInfo(WaybillStatus(7), "SF1", (PathAction(0, 1, "x"),)),
    ShopInfo(GoodsInfo([])),
    DeliveryInfo("SF", "顺丰速运"),
    Trace.from_reply({"waybill_info": {"status": 7}, "new": [1]}),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
class TestValues:
    def test_frozen__nothing_can_be_set(self, model: Any) -> None:
        """A model cannot be changed, and takes no further attributes."""
        for name in [*(field.name for field in attrs.fields(type(model))), "new"]:
            with pytest.raises(AttributeError):
                setattr(model, name, None)

    def test_hash__can_stand_in_a_set(self, model: Any) -> None:
        """Equal models have equal hashes."""
        assert hash(copy.copy(model)) == hash(model)
        assert {model} == {copy.copy(model), model}

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_pickle__equal(self, model: Any, protocol: int) -> None:
        """A model arrives as what it was."""
        assert model == pickle.loads(pickle.dumps(model, protocol))

    def test_deepcopy__equal(self, model: Any) -> None:
        """A deep copy is equal."""
        assert model == copy.deepcopy(model)


class TestWaybillStatus:
    @pytest.mark.parametrize(
        "value, name, label, is_final",
        [
            (0, "NOT_COLLECTED", "运单不存在或者未揽收", False),
            (1, "COLLECTED", "已揽件", False),
            (2, "IN_TRANSIT", "运输中", False),
            (3, "OUT_FOR_DELIVERY", "派件中", False),
            (4, "SIGNED", "已签收", True),
            (5, "EXCEPTION", "异常", False),
            (6, "SIGNED_BY_PROXY", "代签收", True),
            (7, "UNKNOWN_7", "未知状态 7", False),
            (-1, "UNKNOWN_-1", "未知状态 -1", False),
            (99, "UNKNOWN_99", "未知状态 99", False),
        ],
    )
    def test_members__as_the_document(
        self, value: int, name: str, label: str, is_final: bool
    ) -> None:
        """The document's seven, and any other number with its value kept."""
        status = WaybillStatus(value)

        assert isinstance(status, WaybillStatus)
        assert value == status
        assert value == status.value
        assert name == status.name
        assert label == status.label
        assert is_final is status.is_final

    def test_members__seven(self) -> None:
        """A number that nobody knows does not stay in the class."""
        WaybillStatus(7)

        assert [0, 1, 2, 3, 4, 5, 6] == list(WaybillStatus)
        assert 7 == len(WaybillStatus)

    @pytest.mark.parametrize("value", ["4", None, 4.5, b"4", [], 99.5])
    def test_call__no_number(self, value: object) -> None:
        """What is no whole number is no status."""
        with pytest.raises(ValueError):
            WaybillStatus(value)

    @pytest.mark.parametrize("value", [4, 7, -1])
    def test_format__a_number(self, value: int) -> None:
        """It prints as its number, the same on every Python."""
        status = WaybillStatus(value)

        assert str(value) == str(status)
        assert str(value) == f"{status}"
        assert f"{value:03d}" == f"{status:03d}"
        assert f"{value:03d}" == "%03d" % status
        assert f"[{value}]" == json.dumps([status])

    def test_repr__names_the_member(self) -> None:
        """The repr tells it from a bare number."""
        assert "<WaybillStatus.SIGNED: 4>" == repr(WaybillStatus.SIGNED)
        assert "<WaybillStatus.UNKNOWN_7: 7>" == repr(WaybillStatus(7))

    @pytest.mark.parametrize("value", [4, 7, -1])
    def test_pickle__keeps_its_value(self, value: int) -> None:
        """An unknown status can be cached too."""
        status = WaybillStatus(value)

        for twin in (
            copy.copy(status),
            copy.deepcopy(status),
            pickle.loads(pickle.dumps(status)),
        ):
            assert isinstance(twin, WaybillStatus)
            assert (value, status.name) == (twin.value, twin.name)

    def test_hash__as_its_number(self) -> None:
        """It finds what is kept under its number."""
        assert "x" == {7: "x"}[WaybillStatus(7)]
        assert "y" == {4: "y"}[WaybillStatus.SIGNED]
