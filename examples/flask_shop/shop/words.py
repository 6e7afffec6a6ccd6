"""
English and Chinese: pages have the browser's language, commands the locale's.
"""

import os

from flask import has_request_context, request

_LOCALES = map(os.environ.get, ["LC_ALL", "LC_MESSAGES", "LANG"])
DEFAULT = "zh" if next(filter(None, _LOCALES), "").startswith("zh") else "en"


def language():
    """
    Return "en" or "zh".
    """
    if not has_request_context():
        return DEFAULT
    return request.accept_languages.best_match(["en", "zh"], DEFAULT)


def _(text, /, **values):
    """
    Return an English text in the current language, with its *values*.
    """
    return (CHINESE[text] if language() == "zh" else text).format(**values)


CHINESE = {
    # Pages
    "Shop admin": "小店后台",
    "Log in": "登录",
    "Log out": "退出登录",
    "Password": "密码",
    "Wrong password.": "密码不对。",
    "Orders": "订单",
    "Order {id}": "订单 {id}",
    "There are no orders yet.": "还没有订单。",
    "to be shipped": "待发货",
    "shipped": "已发货",
    "signed for": "已签收",
    "waybill number": "运单号",
    "carrier": "快递公司",
    "Ship": "发货",
    "Update the goods at WeChat": "更新商品信息",
    "Order {id}: {text}": "订单 {id}：{text}",
    "enter a valid waybill number.": "请填写正确的运单号。",
    "it is shipped already.": "已经发过货了，不用再发。",
    "shipped, but not yet registered with WeChat. {problem}": (
        "已发货，但还没有传运单。{problem}"
    ),
    "shipped; WeChat follows the parcel.": "已发货，微信开始跟踪物流。",
    "not yet registered with WeChat.": "还没有传运单。",
    "the goods are updated.": "商品信息已更新。",
    # Replies to the mini-program
    "The request is malformed.": "请求有误。",
    "Log in first.": "请先登录。",
    "WeChat did not accept the login; try again.": "微信登录失败，请重试。",
    "There is no such order.": "没有找到这个订单。",
    "The shop is not available; try again later.": "服务暂时不可用，请稍后再试。",
    # Commands
    "Create the tables that are missing.": "创建数据库表（已存在的不变）。",
    "The database is ready.": "数据库已就绪。",
    "Register missed waybills and query the open ones; for cron, once an hour.": (
        "补传漏传的运单，并更新在途订单的物流状态；适合由 cron 每小时运行一次。"
    ),
    "calls to WeChat at most": "最多调用微信多少次",
    "leave orders alone that were queried within so many minutes": (
        "多少分钟内查询过的订单不再查询"
    ),
    "queries at the same time": "同时进行的查询数",
    "{done} done, {failed} failed, {calls} calls to WeChat.": (
        "成功 {done} 个，未成功 {failed} 个，调用微信 {calls} 次。"
    ),
    "Stopped: {problem}": "提前结束：{problem}",
    # Problems of an order
    "WeChat does not know this waybill yet. A parcel becomes known some hours after "
    "the carrier has collected it; the shop retries by itself. After a day, check the "
    "waybill number and the carrier.": (
        "微信暂时查不到这个运单。刚发货的包裹要等快递揽收后几小时才查得到，系统会自动重试；"
        "超过一天仍查不到，请核对运单号和快递公司。"
    ),
    "The goods of this waybill cannot be changed any more.": (
        "这个运单的商品信息修改次数已用完，不能再改。"
    ),
    "The calls to WeChat are used up for now; the shop retries by itself.": (
        "微信接口的调用次数暂时用完了，系统稍后会自动重试。"
    ),
    "WeChat cannot load an image of the goods; check its address.": (
        "微信打不开商品图片，请检查图片地址。"
    ),
    "The customer's openid does not fit this mini-program; ask a developer.": (
        "顾客的微信身份与本小程序不符，请联系技术人员。"
    ),
    "WeChat does not know this order's waybill_token; ask a developer.": (
        "微信不认识这个订单的物流凭证，请联系技术人员。"
    ),
    "The mini-program's access to WeChat is not set up; ask a developer.": (
        "小程序的物流接口配置有误，请联系技术人员。"
    ),
    "WeChat is busy; the shop retries by itself.": (
        "微信系统繁忙，系统稍后会自动重试。"
    ),
    "Something is missing; check phone number, waybill number and goods.": (
        "订单资料不完整，请检查收件人手机号、运单号和商品。"
    ),
    "WeChat refused the call; ask a developer.": "微信拒绝了这次请求，请联系技术人员。",
    "WeChat cannot be reached; the shop retries by itself.": (
        "暂时连不上微信，系统稍后会自动重试。"
    ),
    "The parcel is held up; ask the carrier.": "包裹运输异常，请联系快递公司。",
    "{text} (errcode {errcode})": "{text}（错误码 {errcode}）",
}
