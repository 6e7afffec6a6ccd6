"""What the console says, in English and in Chinese."""

from __future__ import annotations

from ..models import WaybillStatus

#: Language tag -> what it calls itself.
LANGUAGES = {"en": "English", "zh": "中文"}

#: English -> Chinese. The templates hold the English.
_CHINESE: dict[str, str] = {
    # The frame
    "Skip to the content": "跳到正文",
    "wxlogistics sandbox": "wxlogistics 沙箱",
    "Sandbox": "沙箱",
    "Pages": "页面",
    "Waybills": "运单",
    "Calls": "调用",
    "Faults": "故障",
    "Tokens and quotas": "token 与额度",
    "Language": "语言",
    "Live": "实时",
    "Not connected": "未连接",
    "Time in the sandbox, China time": "沙箱时间（北京时间）",
    "China time": "北京时间",
    "Let time pass": "快进时间",
    "{} h": "{} 小时",
    "{} min": "{} 分钟",
    "{} day": "{} 天",
    "Hours": "小时数",
    "Go": "快进",
    "Time has passed.": "时间已快进。",
    "time stands still": "时间静止",
    "time runs {} times as fast": "时间以 {} 倍速流逝",
    "An imitation of WeChat on this machine; nothing leaves it.": (
        "本机上的微信模拟环境，数据不会离开这台机器。"
    ),
    "Done.": "完成。",
    "Copied.": "已复制。",
    "Copying failed: select the text and copy it by hand.": (
        "复制失败，请手动选中并复制。"
    ),
    "The sandbox does not answer.": "沙箱没有响应。",
    "Copy": "复制",
    "Copy curl": "复制 curl",
    "Copy Python": "复制 Python",
    "Previous": "上一页",
    "Next": "下一页",
    "Page {} of {}": "第 {} / {} 页",
    "Paging": "翻页",
    "Search": "搜索",
    "All": "全部",
    "No": "否",
    # First visit
    "Connect a program": "接入你的程序",
    "Point your program at this sandbox and watch the parcel move here.": (
        "把程序的接口地址指向这个沙箱，就能在这里看到包裹流转。"
    ),
    "In Python": "Python",
    "In any language": "任何语言",
    "No program at hand? Begin with the example of WeChat's document:": (
        "手头还没有程序？先从微信文档的示例开始："
    ),
    "Register the document's example": "登记文档示例",
    "Registered.": "已登记。",
    "appid": "appid",
    "AppSecret": "AppSecret",
    "Show": "显示",
    "Hide": "隐藏",
    "Show the AppSecret": "显示 AppSecret",
    "Hide the AppSecret": "隐藏 AppSecret",
    "Copying takes the real AppSecret along.": "复制时会带上真实的 AppSecret。",
    # Waybills
    "Waybill": "运单号",
    "Carrier": "运力公司",
    "Status": "状态",
    "User": "用户",
    "Goods": "商品",
    "Registered": "登记时间",
    "Last move": "最近动态",
    "Waybill, carrier, openid or goods": "运单号、运力、openid 或商品",
    "Any status": "全部状态",
    "{} waybills": "{} 个运单",
    "{} of {} waybills": "{} / {} 个运单",
    "No waybill yet.": "还没有运单。",
    "What a program registers appears here at once.": "程序登记的运单会立即出现在这里。",
    "Nothing is like that.": "没有符合条件的内容。",
    "not registered": "未登记",
    "and {} more": "另有 {} 个",
    "{} in all": "共 {} 件",
    "Not collected": "未揽收",
    "Collected": "已揽件",
    "In transit": "运输中",
    "Out for delivery": "派件中",
    "Signed": "已签收",
    "Exception": "异常",
    "Signed by proxy": "代签收",
    "Unknown status": "未知状态",
    # One waybill
    "What the customer sees": "顾客看到的页面",
    "Tracking": "物流详情",
    "Track": "物流轨迹",
    "Waiting for the carrier to collect the parcel": "等待快递员揽收",
    "Move the parcel": "推动包裹",
    "Next step": "下一步",
    "Next step: {}": "下一步：{}",
    "Sign": "签收",
    "Raise an exception": "置为异常",
    "What the carrier says": "物流轨迹说明",
    "optional": "可不填",
    "Another status": "其他状态",
    "Set": "设置",
    "The parcel has moved.": "运单状态已更新。",
    "The parcel is at its end.": "包裹已到终点。",
    "A parcel that you move by hand is moved by the clock no more.": (
        "手动推动过的包裹，不再随时间变化。"
    ),
    "The clock moves it next: {}": "下一次自动更新：{}",
    "The clock moves it no more.": "不再自动更新。",
    "Registrations": "登记",
    "Component": "组件",
    "query": "查询组件",
    "message": "消息组件",
    "Changes of the goods": "商品修改次数",
    "Nobody has registered this waybill yet.": "还没有人登记这个运单。",
    "View": "查看",
    "shown": "当前",
    "Load the pictures": "加载图片",
    "Picture {}: load the pictures from outside": "图片 {}：从外部加载",
    "Pictures come from other servers: they are loaded only when you ask.": (
        "图片来自其他服务器，只有点击后才会加载。"
    ),
    "Pictures are loaded from other servers.": "正在从其他服务器加载图片。",
    "Put them away": "收起图片",
    "Let calls about it fail": "让这个运单的调用出错",
    "Its calls": "相关调用",
    "There is no such waybill.": "没有这个运单。",
    # Calls
    "Time": "时间",
    "Endpoint": "接口",
    "ms": "毫秒",
    "Milliseconds": "耗时（毫秒）",
    "rid, waybill, openid or errcode": "rid、运单号、openid 或错误码",
    "Any endpoint": "全部接口",
    "Only what went wrong": "只看失败的",
    "The last {} calls": "最近 {} 次调用",
    "{} of the last {} calls": "最近 {1} 次调用中的 {0} 次",
    "No call yet.": "还没有调用。",
    "dropped": "连接中断",
    "ok": "成功",
    "Call {}": "调用 {}",
    "Request": "请求",
    "Reply": "返回",
    "The request had no JSON object.": "请求中没有 JSON 对象。",
    "No JSON was sent back.": "没有返回 JSON。",
    "The connection was dropped.": "连接被中断。",
    "Call it again": "再次调用",
    "The call before": "上一次调用",
    "The call after": "下一次调用",
    "This call is not remembered (any more).": "没有（或不再保留）这次调用的记录。",
    # Faults
    "Let calls go wrong": "让调用出错",
    "every endpoint": "所有接口",
    "errcode": "错误码",
    "choose or type a number": "选择或输入错误码",
    "a number that WeChat's table does not have": "微信错误码表中没有这个错误码",
    "Times": "次数",
    "empty: until it is taken back": "不填：一直生效，直到撤销",
    "Delay": "延迟",
    "seconds": "秒",
    "More": "更多",
    "HTTP status": "HTTP 状态码",
    "a gateway answers in WeChat's place": "由网关代替微信应答",
    "errmsg": "errmsg",
    "instead of WeChat's": "代替微信的原文",
    "Only for this openid": "只针对这个 openid",
    "Only for this waybill": "只针对这个运单",
    "Drop the connection after the call took effect": "调用生效后中断连接",
    "Put in force": "启用故障",
    "The fault is in force.": "故障已生效。",
    "In force": "生效中",
    "What goes wrong": "故障内容",
    "Left": "剩余次数",
    "Only for": "范围",
    "until taken back": "直到撤销",
    "Take back": "撤销",
    "Take back all": "全部撤销",
    "Taken back.": "已撤销。",
    "No fault is in force.": "没有生效中的故障。",
    "{} s late": "延迟 {} 秒",
    "What WeChat's errcodes mean": "微信错误码释义",
    "Meaning": "释义",
    "Everything": "全部",
    # Tokens
    "Apps": "小程序",
    "service provider": "第三方平台",
    "mini-program": "小程序",
    "Kind": "类型",
    "logistics service opened": "已开通物流服务",
    "logistics service not opened": "未开通物流服务",
    "Access tokens": "access_token",
    "Token": "access_token",
    "Remaining life": "剩余有效期",
    "revoked": "已作废",
    "expired": "已过期",
    "replaced": "已被替换",
    "Revoke": "作废",
    "Revoke this token of {}": "作废 {} 的这个 access_token",
    "Revoke all": "全部作废",
    "Revoked.": "已作废。",
    "No token was handed out yet.": "还没有发放 access_token。",
    "Calls with a revoked token get 40001; a client that can renew fetches another.": (
        "用已作废的 access_token 调用会返回 40001；支持自动更新的客户端会重新获取。"
    ),
    "Quotas of today": "今日额度",
    "They begin again at midnight, China time.": "北京时间零点重新计数。",
    "Users": "用户",
    "the {} busiest of {}": "{1} 个中最多的 {0} 个",
    "{} of {}": "{} / {}",
    "calls of the query component": "查询组件调用",
    "calls of the message component": "消息组件调用",
    "calls of stable_token": "stable_token 调用",
    "calls of /cgi-bin/token": "/cgi-bin/token 调用",
    "forced renewals": "强制刷新",
    "Nothing was counted today.": "今天还没有计数。",
    # Mistakes
    "time only moves forward": "时间只能前进",
    "at most a year at once": "一次最多一年",
    "a number is expected: {}": "这里要填数字：{}",
    "errcode is a whole number other than 0": "错误码是 0 以外的整数",
    "errmsg goes with an errcode": "errmsg 要和错误码一起填",
    "status is a whole number from 200 to 599": "HTTP 状态码是 200 到 599 的整数",
    "delay is from 0 to 3600 seconds": "延迟为 0 到 3600 秒",
    "times is a whole number from 1, or None for always": "次数是从 1 起的整数，或不填",
    "say what goes wrong: errcode, status, delay or drop": (
        "请说明出什么错：错误码、HTTP 状态码、延迟或中断连接"
    ),
    "Refused": "已拒绝",
    "This page is for this machine alone: it was asked for by a foreign Host or "
    "Origin.": "此页面仅供本机使用：请求来自其他 Host 或 Origin。",
    "No such page": "没有这个页面",
    "Not found": "未找到",
    "To the waybills": "回到运单",
}

_ENGLISH_STATUS = (
    "Not collected",
    "Collected",
    "In transit",
    "Out for delivery",
    "Signed",
    "Exception",
    "Signed by proxy",
)


def translate(language: str, english: str, *values: object) -> str:
    """
    *english* in *language*, with *values* in its braces.
    """
    text = _CHINESE.get(english, english) if language == "zh" else english
    return text.format(*values) if values else text


def status_name(language: str, status: WaybillStatus) -> str:
    """
    What *status* is called: in Chinese by the document.
    """
    if 0 <= status < len(_ENGLISH_STATUS):
        if language == "zh":
            return status.label
        return _ENGLISH_STATUS[status]
    return translate(language, "Unknown status") + f" {int(status)}"


def choose(accept_language: str) -> str:
    """
    The language that an Accept-Language header asks for first.
    """
    best, weight = "en", 0.0
    for item in accept_language.split(","):
        tag, _, quality = item.strip().lower().partition(";")
        language = tag.strip().partition("-")[0]
        try:
            value = float(quality.partition("=")[2] or 1)
        except ValueError:
            continue
        if language in LANGUAGES and value > weight:
            best, weight = language, value
    return best
