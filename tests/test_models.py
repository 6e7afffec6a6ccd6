"""WeChat's shapes: read whatever comes, keep all of it, never raise."""

import copy
import json
import pickle
from typing import Callable

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

Sample = Callable[[str], bytes]


class TestSamples:
    def test_models__fields_as_documented(self):
        fields = {
            name: [field.name for field in attrs.fields(model)]
            for name, model in vars(models).items()
            if attrs.has(model)
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

    def test_from_reply__path_action(self, sample):
        trace = Trace.from_reply(
            json.loads(sample("query_follow_trace.reply.path_action.json"))
        )

        assert (
            PathAction(
                1779249600, 500001, "快件正在派送中,快递员:张三,电话:13800138000"
            ),
            PathAction(1779206400, 500001, "快件已到达【杭州转运中心】"),
            PathAction(0, 500001, "顺丰速运 已收取快件"),
        ) == trace.waybill_info.path


EMPTY_GOODS = ShopInfo(GoodsInfo([]))


class TestLeniency:
    """What is left out or makes no sense is 0 or empty."""

    @pytest.mark.parametrize("value", [None, "x", [], 7, {}])
    def test_reply__parts_missing_or_wrong(self, value):
        bare = Trace.from_reply({})
        reply = {"waybill_info": value, "shop_info": value}
        trace = Trace.from_reply(reply)

        assert WaybillInfo() == trace.waybill_info == bare.waybill_info
        assert ShopInfo() == trace.shop_info == bare.shop_info

    @pytest.mark.parametrize(
        "waybill_info, expected",
        [
            ({"status": None, "waybill_id": None, "path": None}, WaybillInfo()),
            ({"status": 4}, WaybillInfo(WaybillStatus.SIGNED)),
            ({"status": "4"}, WaybillInfo(WaybillStatus.SIGNED)),
            ({"status": 4.0}, WaybillInfo(WaybillStatus.SIGNED)),
            ({"status": 4.5}, WaybillInfo()),
            ({"status": "4.0"}, WaybillInfo()),
            ({"status": "signed"}, WaybillInfo()),
            ({"status": ""}, WaybillInfo()),
            ({"status": True}, WaybillInfo()),
            ({"status": [4]}, WaybillInfo()),
            ({"status": {}}, WaybillInfo()),
            ({"status": float("nan")}, WaybillInfo()),
            ({"status": float("inf")}, WaybillInfo()),
            ({"status": 99}, WaybillInfo(WaybillStatus(99))),
            ({"status": "-1"}, WaybillInfo(WaybillStatus(-1))),
            ({"status": 10**30}, WaybillInfo(WaybillStatus(10**30))),
            ({"waybill_id": ""}, WaybillInfo(0, "")),
            ({"waybill_id": 1234}, WaybillInfo(0, "1234")),
            ({"waybill_id": 1.5}, WaybillInfo()),
            ({"waybill_id": True}, WaybillInfo()),
            ({"waybill_id": ["x"]}, WaybillInfo()),
            ({"waybill_id": "x", "new": 1}, WaybillInfo(0, "x")),
        ],
    )
    def test_waybill_info__any_shape(self, waybill_info, expected):
        reply = {"waybill_info": waybill_info}

        assert expected == Trace.from_reply(reply).waybill_info

    @pytest.mark.parametrize(
        "actions, expected",
        [
            (None, ()),
            ({}, ()),
            ("x", ()),
            ([], ()),
            ([None, "x", 1, []], ()),
            ([{}], (PathAction(),)),
            ([{"action_time": None, "action_msg": None}], (PathAction(),)),
            (
                [{"action_time": "1779249600", "action_type": "5"}],
                (PathAction(1779249600, 5),),
            ),
            ([{"action_time": "noon", "action_msg": 5}], (PathAction(0, 0, "5"),)),
            ([1, {"action_msg": "已签收", "new": 1}], (PathAction(0, 0, "已签收"),)),
        ],
    )
    def test_path__any_shape(self, actions, expected):
        reply = {"waybill_info": {"path": {"path_action": actions}}}

        assert expected == Trace.from_reply(reply).waybill_info.path

    @pytest.mark.parametrize("path", [None, [], "x", {}])
    def test_path__not_an_object(self, path):
        assert (
            () == Trace.from_reply({"waybill_info": {"path": path}}).waybill_info.path
        )

    @pytest.mark.parametrize(
        "goods_info, expected",
        [
            (None, ShopInfo()),
            ([], ShopInfo()),
            ("x", ShopInfo()),
            ({}, EMPTY_GOODS),
            ({"detail_list": None}, EMPTY_GOODS),
            ({"detail_list": {}}, EMPTY_GOODS),
            ({"detail_list": [None, 1, "x", []]}, EMPTY_GOODS),
            ({"detail_list": [{}]}, ShopInfo(GoodsInfo([GoodsDetail("", "")]))),
            (
                {"detail_list": [{"goods_name": 7, "goods_img_url": [], "new": {}}]},
                ShopInfo(GoodsInfo([GoodsDetail("7", "")])),
            ),
        ],
    )
    def test_goods_info__any_shape(self, goods_info, expected):
        reply = {"shop_info": {"goods_info": goods_info, "new": 1}}
        trace = Trace.from_reply(reply)

        assert expected == trace.shop_info
        assert expected.goods_info.detail_list == trace.goods

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
    def test_delivery_info__any_shape(self, reply, expected):
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
    def test_delivery_list__any_shape(self, reply, expected):
        assert expected == delivery_list(reply)


class TestTrace:
    def test_raw__is_the_reply(self):
        reply = {"errcode": 0, "waybill_info": {"status": 4}, "new": {"deep": [1]}}

        assert reply is Trace.from_reply(reply).raw

    def test_eq__same_reply(self):
        one = Trace.from_reply({"waybill_info": {"status": 4}})
        other = Trace.from_reply({"waybill_info": {"status": 4}})

        assert one == other
        assert hash(one) == hash(other)
        assert {one} == {one, other}

    def test_eq__differs_in_raw_alone(self):
        one = Trace.from_reply({"waybill_info": {"status": 4}})
        other = Trace.from_reply({"waybill_info": {"status": 4}, "new": 1})

        assert one != other

    def test_shortcuts__nothing_there(self):
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
    def test_has_status__any_shape(self, reply, expected):
        assert expected is has_status(reply)

    def test_repr__without_raw(self, sample):
        reply = json.loads(sample("query_follow_trace.reply.path_action.json"))
        shown = repr(Trace.from_reply(reply))

        assert 1 == shown.count("快件正在派送中")
        assert "raw" not in shown


class TestGoodsInfo:
    def test_detail_list__any_iterable(self):
        details = [GoodsDetail("a", ""), GoodsDetail("b", "")]

        assert tuple(details) == GoodsInfo(details).detail_list
        assert tuple(details) == GoodsInfo(tuple(details)).detail_list
        assert tuple(details) == GoodsInfo(each for each in details).detail_list

    def test_detail_list__a_copy(self):
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
    def test_frozen__nothing_can_be_set(self, model):
        for name in [*(field.name for field in attrs.fields(type(model))), "new"]:
            with pytest.raises(AttributeError):
                setattr(model, name, None)

    def test_hash__equal(self, model):
        assert hash(copy.copy(model)) == hash(model)
        assert {model} == {copy.copy(model), model}

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_pickle__equal(self, model, protocol):
        assert model == pickle.loads(pickle.dumps(model, protocol))

    def test_deepcopy__equal(self, model):
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
    def test_members__as_the_document(self, value, name, label, is_final):
        status = WaybillStatus(value)

        assert isinstance(status, WaybillStatus)
        assert value == status
        assert value == status.value
        assert name == status.name
        assert label == status.label
        assert is_final is status.is_final

    def test_members__unknown_is_not_added(self):
        WaybillStatus(7)

        assert [0, 1, 2, 3, 4, 5, 6] == list(WaybillStatus)

    @pytest.mark.parametrize("value", ["4", None, 4.5, b"4", [], 99.5])
    def test_call__not_a_number(self, value):
        with pytest.raises(ValueError):
            WaybillStatus(value)

    @pytest.mark.parametrize("value", [4, 7, -1])
    def test_format__as_its_number(self, value):
        """Python versions format int enums differently."""
        status = WaybillStatus(value)

        assert str(value) == str(status)
        assert str(value) == f"{status}"
        assert f"{value:03d}" == f"{status:03d}"
        assert f"{value:03d}" == "%03d" % status
        assert f"[{value}]" == json.dumps([status])

    def test_repr__names_the_member(self):
        assert "<WaybillStatus.SIGNED: 4>" == repr(WaybillStatus.SIGNED)
        assert "<WaybillStatus.UNKNOWN_7: 7>" == repr(WaybillStatus(7))

    @pytest.mark.parametrize("value", [4, 7, -1])
    def test_pickle__keeps_its_value(self, value):
        status = WaybillStatus(value)

        for twin in (
            copy.copy(status),
            copy.deepcopy(status),
            pickle.loads(pickle.dumps(status)),
        ):
            assert isinstance(twin, WaybillStatus)
            assert (value, status.name) == (twin.value, twin.name)

    def test_hash__as_its_number(self):
        assert "x" == {7: "x"}[WaybillStatus(7)]
        assert "y" == {4: "y"}[WaybillStatus.SIGNED]
