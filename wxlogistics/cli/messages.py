"""Everything that the command line says, in English and in Chinese."""

from __future__ import annotations

import locale
from typing import Any, Mapping, NamedTuple, Sequence

from ..errors import ERRCODES, ApiError, IpNotAllowedError, RateLimitError
from ..models import WaybillStatus

#: The languages of the command line, in the order of `Said`.
LANGUAGES = ("en", "zh")


class Said(NamedTuple):
    """
    One message in both languages; both have the same fields.
    """

    en: str
    zh: str


class Problem(Exception):
    """
    Something that the person at the keyboard can mend.

    Attributes:
        key: The message.

        fields: What stands in it.
    """

    def __init__(self, key: str, **fields: object) -> None:
        super().__init__(key, fields)
        self.key = key
        self.fields = fields


class Say:
    """
    Speaks one of `LANGUAGES`.
    """

    def __init__(self, language: str) -> None:
        self.language = language
        self._index = LANGUAGES.index(language)

    def __call__(self, key: str, /, **fields: object) -> str:
        """
        Return the message *key* with its fields.
        """
        return MESSAGES[key][self._index].format(**fields)

    def problem(self, problem: Problem) -> str:
        """
        Return what *problem* says.
        """
        return self(problem.key, **problem.fields)

    def status(self, status: WaybillStatus) -> str:
        """
        Return where a parcel is: the document's words, or their translation.
        """
        known = STATUSES.get(status)
        if self.language == "zh":
            return status.label
        return known or f"unknown status {status}"

    def meaning(self, errcode: int) -> str:
        """
        Return what WeChat says by *errcode*; empty if the table does not know it.
        """
        if errcode not in ERRCODES:
            return ""
        if self.language == "zh":
            return ERRCODES[errcode].meaning
        return REFUSALS[errcode].meaning

    def advice(self, error: ApiError) -> str:
        """
        Return what to do about *error*, for somebody at a terminal.
        """
        if self.language == "zh":
            errcode = error.errcode
            if errcode == 45009 and isinstance(error, RateLimitError):
                errcode = 45011
            row = REFUSALS.get(errcode)
            advice = row.advice if row else self("advice.unknown")
            address = "该地址"
        else:
            advice = error.advice
            address = "the address in .ip"
        if isinstance(error, IpNotAllowedError):
            known = error.ip if self.language == "en" else error.ip and f" {error.ip} "
            return advice.replace(address, known or self("advice.address"))
        return advice


def choose_language(argv: Sequence[str], environ: Mapping[str, str]) -> str:
    """
    Return the language that *argv* asks for, or else the one of the locale.
    """
    for index, word in enumerate(argv):
        name, _, value = word.partition("=")
        if name == "--lang":
            value = value or "".join(argv[index + 1 : index + 2])
            if value in LANGUAGES:
                return value
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if environ.get(name):
            return "zh" if environ[name].lower().startswith("zh") else "en"
    # Where no variable tells, as on Windows: "Chinese (Simplified)_China".
    tongue = (locale.getlocale()[0] or "").lower()
    return "zh" if tongue.startswith(("zh", "chinese")) else "en"


#: The words for a parcel's status, in English; the document has the Chinese.
STATUSES: Mapping[int, str] = {
    WaybillStatus.NOT_COLLECTED: "unknown or not collected",
    WaybillStatus.COLLECTED: "collected",
    WaybillStatus.IN_TRANSIT: "in transit",
    WaybillStatus.OUT_FOR_DELIVERY: "out for delivery",
    WaybillStatus.SIGNED: "signed for",
    WaybillStatus.EXCEPTION: "exception",
    WaybillStatus.SIGNED_BY_PROXY: "signed for by somebody else",
}


class Refusal(NamedTuple):
    """
    The half of a row of the errcode table that errors.py does not have.

    Attributes:
        meaning: In English.

        advice: In Chinese.
    """

    meaning: str
    advice: str


_RENEW = "请重新获取 access_token，并统一由一处获取和刷新。"
_SLOW_DOWN = "请等到下一秒或下一分钟，并降低调用频率。"
_TOMORROW = "请在北京时间零点以后继续；调用额度按天计算。"
_NO_ROUTE = (
    "请核对 waybill_id 和 delivery_id；还没有物流轨迹的运单也算不存在，"
    "过几个小时再试，最长可能要一天。"
)
_REPORT = "看起来是请求本身有问题，请带上 rid 反馈。"
_RESTRICTED = "该小程序受到限制，请查看微信公众平台的通知。"
_GRANT = "请让该账号授权给第三方平台，授权时要包含权限集 45。"

#: errcode -> what errors.ERRCODES does not say.
REFUSALS: Mapping[int, Refusal] = {
    -1: Refusal(
        "WeChat is busy",
        "请稍后再试；如果一直这样，请确认商品不超过 10 件，并且微信能访问每一个 "
        "goods_img_url。",
    ),
    40001: Refusal("access_token invalid or replaced", _RENEW),
    40002: Refusal("grant_type wrong", _REPORT),
    40003: Refusal("openid wrong", "请使用用户在本小程序 wx.login 得到的 openid。"),
    40013: Refusal("appid wrong", "请核对 appid：wx 加 16 位字符。"),
    40014: Refusal("access_token invalid", _RENEW),
    40066: Refusal("path wrong", _REPORT),
    40125: Refusal(
        "AppSecret wrong", "请核对 AppSecret；在微信公众平台重置以后，旧的就失效了。"
    ),
    40164: Refusal(
        "address not on the IP whitelist",
        "请在微信公众平台把该地址加入 IP 白名单。",
    ),
    40243: Refusal("AppSecret frozen", "请在微信公众平台解冻 AppSecret。"),
    41001: Refusal("access_token missing", _RENEW),
    41002: Refusal("appid missing", "请提供 appid。"),
    41004: Refusal("AppSecret missing", "请提供 AppSecret。"),
    42001: Refusal("access_token expired", _RENEW),
    43002: Refusal("POST required", _REPORT),
    44002: Refusal("body empty", _REPORT),
    45009: Refusal("the day's calls are used up", _TOMORROW),
    45011: Refusal("too many calls in a minute", _SLOW_DOWN),
    47001: Refusal("data malformed", _REPORT),
    48001: Refusal(
        "logistics service not opened",
        "请在微信公众平台为该小程序开通「物流服务」。",
    ),
    50002: Refusal("mini-program restricted", _RESTRICTED),
    50004: Refusal("access tokens forbidden", _RESTRICTED),
    61003: Refusal("service provider not authorized by the account", _GRANT),
    61004: Refusal(
        "service provider's address not registered",
        "请在微信开放平台把该地址加入第三方平台的 IP 白名单。",
    ),
    61007: Refusal("service provider lacks the permission", _GRANT),
    61023: Refusal(
        "refresh_token invalid",
        "请使用最新的 authorizer_refresh_token，或让该账号重新授权给第三方平台。",
    ),
    931023: Refusal("no such waybill", _NO_ROUTE),
    9300507: Refusal(
        "waybill_token wrong",
        "请使用本小程序完整的 waybill_token；trace_waybill 和 follow_waybill "
        "返回的只能用于各自的接口。",
    ),
    9300513: Refusal("out of calls", _TOMORROW),
    9300534: Refusal(
        "openid and access_token do not match",
        "openid 和 access_token 必须属于同一个小程序。",
    ),
    9300559: Refusal("no such waybill", _NO_ROUTE),
    9300560: Refusal(
        "out of changes", "商品信息只能保持现状：该运单不能再修改商品信息了。"
    ),
    9300561: Refusal(
        "goods_img_url refused",
        "请检查 goods_img_url：非 ASCII 字符要做 URL 编码，图片必须能从公网访问。",
    ),
}

MESSAGES: Mapping[str, Said] = {
    # Punctuation between a label and its value, and in lists
    "as_is": Said("{text}", "{text}"),
    "colon": Said(": ", "："),
    "comma": Said(", ", "、"),
    "semicolon": Said("; ", "；"),
    "wrong_use": Said("Wrong use: {problem}", "用法不对：{problem}"),
    "see_help": Said("See: {command} --help", "请看：{command} --help"),
    # Help
    "help.usage": Said("Usage", "用法"),
    "help.options": Said("Options", "选项"),
    "help.commands": Said("Commands", "命令"),
    "help.examples": Said("Examples", "示例"),
    "help.environment": Said("Environment", "环境变量"),
    "help.exit_codes": Said("Exit codes", "退出码"),
    "help.options_metavar": Said("[OPTIONS]", "[选项]"),
    "help.command_metavar": Said("COMMAND", "命令"),
    "help.required": Said(" (required)", "（必填）"),
    "help.help": Said("Show this help.", "显示本帮助。"),
    "help.version": Said("Show the version.", "显示版本号。"),
    "help.lang": Said(
        "Language: zh or en; by default the locale's.",
        "语言：zh 或 en；默认跟随系统。",
    ),
    "help.json": Said(
        "Print one JSON object, for programs.", "只输出一个 JSON 对象，供程序读取。"
    ),
    "help.base_url": Said(
        "Where WeChat is: a sandbox, say. Several are tried in turn.",
        "微信接口的地址，例如沙箱；可多次使用，依次尝试。",
    ),
    "help.wxlogistics": Said(
        "WeChat's mini-program logistics plugin (物流查询插件) from the command line.",
        "在命令行使用微信小程序「物流查询插件」。",
    ),
    "help.env.access_token": Said(
        "the access_token, if you have one", "已有的 access_token（如果有）"
    ),
    "help.env.appid": Said(
        "or the mini-program's appid, to fetch one", "没有的话，填小程序的 appid"
    ),
    "help.env.secret": Said(
        "and its AppSecret", "以及 AppSecret，用来自动获取 access_token"
    ),
    "help.env.base_url": Said(
        "as --base-url; several are separated by commas",
        "同 --base-url；多个地址用逗号分隔",
    ),
    "help.exit.0": Said("all went well", "一切正常"),
    "help.exit.1": Said("WeChat refused", "微信返回了错误码"),
    "help.exit.2": Said(
        "wrong use, or something on this machine", "用法不对，或本机的问题"
    ),
    "help.exit.3": Said("no answer of WeChat's", "没有得到微信的应答"),
    "help.trace": Said(
        "Register a waybill and print its waybill_token (trace_waybill).\nRegistering "
        "it again returns the token too, but keeps the first goods.",
        "传运单，输出 waybill_token（trace_waybill）。\n"
        "重复传同一个运单也会返回 token，但商品信息以第一次为准。",
    ),
    "help.query": Said(
        "Show where a parcel is (query_trace).",
        "查运单：显示包裹到哪里了（query_trace）。",
    ),
    "help.update-goods": Said(
        "Replace all the goods of a waybill (update_waybill_goods).\nWeChat allows few "
        "changes for each.",
        "整体替换商品信息（update_waybill_goods）。\n每个运单只能修改有限的次数。",
    ),
    "help.follow": Said(
        "Register a waybill with the message component (follow_waybill).",
        "消息组件：传运单（follow_waybill）。",
    ),
    "help.query-follow": Said(
        "Show where a followed parcel is (query_follow_trace).",
        "消息组件：查运单（query_follow_trace）。",
    ),
    "help.update-follow-goods": Said(
        "Replace all the goods of a followed waybill (update_follow_waybill_goods).",
        "消息组件：更新商品信息（update_follow_waybill_goods）。",
    ),
    "help.openid": Said(
        "The customer's openid in this mini-program.", "用户在本小程序的 openid。"
    ),
    "help.receiver_phone": Said("The receiver's phone number.", "收件人手机号。"),
    "help.sender_phone": Said("The sender's phone number.", "寄件人手机号。"),
    "help.goods": Said(
        "One of the goods and its image; up to 10.",
        "商品名称和图片；可多次使用，最多 10 件。",
    ),
    "help.goods_file": Said(
        "The goods as JSON instead; - is stdin.",
        "改用 JSON 文件给出商品；- 表示标准输入。",
    ),
    "help.trans_id": Said(
        "The WeChat Pay transaction's number; give it if you have it.",
        "微信支付交易单号，有就填。",
    ),
    "help.delivery_id": Said(
        "The carrier, see 'carriers'; helps with small ones.",
        "运力 id，见 carriers 命令；小快递公司建议填。",
    ),
    "help.order_detail_path": Said(
        "The mini-program's page that shows the order.", "小程序订单详情页的路径。"
    ),
    "help.carriers": Said(
        "List the carriers that WeChat knows, or search them by id or name.\nThe list "
        "is kept for a day in your cache folder.",
        "列出微信支持的运力（快递公司），或按 id、名称查找。\n列表在本机缓存一天。",
    ),
    "help.refresh": Said("Ask WeChat anew.", "不用缓存，重新向微信获取。"),
    "help.doctor": Said(
        "Check step by step what a newcomer trips over, and say what to do.",
        "逐项检查新手容易遇到的问题，并说明怎么解决。",
    ),
    "help.errors": Said(
        "Show WeChat's errcodes: what they mean and what to do.",
        "查看微信的错误码：含义，以及怎么处理。",
    ),
    "help.demo": Said(
        "Show the document's own example, end to end on this machine.\nNothing leaves "
        "this machine.",
        "在本机从头到尾演示官方文档中的例子。\n不访问外网。",
    ),
    "help.sandbox": Said(
        "Serve a local imitation of WeChat over HTTP.",
        "在本机运行一个模拟微信的 HTTP 服务（沙箱）。",
    ),
    "help.bulk": Said(
        "Query or register the rows of a file, many at the same time.",
        "批量查询或批量传一个文件中的运单。",
    ),
    "help.bulk.query": Said(
        "Query many waybills.\nFILE has a column waybill_token, and perhaps id and "
        "openid; or just one token in each line.",
        "批量查运单。\nFILE 中要有 waybill_token 一列，还可以有 id、openid；"
        "或者每行只有一个 token。",
    ),
    "help.bulk.trace": Said(
        "Register many waybills.\nFILE has the columns openid, waybill_id, "
        "receiver_phone, goods_name and goods_img_url, and perhaps id, goods_desc, "
        "goods_name_2 and so on, sender_phone, trans_id, delivery_id and "
        "order_detail_path.",
        "批量传运单。\nFILE 中要有 openid、waybill_id、receiver_phone、goods_name、"
        "goods_img_url 各列，还可以有 id、goods_desc、goods_name_2 等、"
        "sender_phone、trans_id、delivery_id、order_detail_path。",
    ),
    "help.bulk.more": Said(
        "FILE is CSV, TSV or JSON Lines in UTF-8 or GBK; - is stdin. Each row's result "
        "is appended to the output as one line of JSON. Run the same command again to "
        "go on where it stopped, even after a crash: no row is done twice.",
        "FILE 可以是 CSV、TSV 或 JSON Lines，UTF-8 或 GBK 编码；- 表示标准输入。"
        "每行的结果立即以一行 JSON 追加到输出文件。中断后（包括崩溃）重新运行同一条命令，"
        "就会从断点继续，不会重复处理任何一行。",
    ),
    "help.out": Said(
        "Where the results go; by default beside FILE, as NAME.results.jsonl.",
        "结果文件；默认在 FILE 旁边，名为 NAME.results.jsonl。",
    ),
    "help.workers": Said("Calls at the same time; default: 16.", "并发数；默认 16。"),
    "help.max_calls": Said("Stop after so many rows.", "最多处理这么多行就停止。"),
    "help.format": Said(
        "csv, tsv or jsonl; by default by FILE's name and content.",
        "csv、tsv 或 jsonl；默认按文件名和内容判断。",
    ),
    "help.encoding": Said(
        "utf-8 or gbk; by default by the content.", "utf-8 或 gbk；默认按内容判断。"
    ),
    "help.again": Said(
        "Do rows with this outcome again: refused, failed or maybe_applied. May be "
        "repeated.",
        "重做某种结果的行：refused、failed 或 maybe_applied；可多次使用。",
    ),
    "help.follow_component": Said(
        "Use the message component instead.", "改用消息组件的接口。"
    ),
    # Wrong use
    "use.no_command": Said("there is no command {name}", "没有 {name} 这个命令"),
    "use.no_option": Said("there is no option {name}", "没有 {name} 这个选项"),
    "use.perhaps": Said("; perhaps {name}?", "；是不是 {name}？"),
    "use.missing": Said("{name} is missing", "缺少 {name}"),
    "use.bad": Said("{name}: {problem}", "{name}：{problem}"),
    "use.choice": Said(
        "{value} is none of {choices}", "{value} 不对，只能是 {choices}"
    ),
    "use.number": Said("{value} is no number", "{value} 不是数字"),
    "use.range": Said("{value} is below {least}", "{value} 太小，至少是 {least}"),
    "use.needs_value": Said("{name} needs a value", "{name} 后面要有值"),
    "use.takes_none": Said("{name} takes no value", "{name} 后面不能有值"),
    "use.too_many": Said("too many arguments: {extra}", "参数太多：{extra}"),
    "use.empty": Said("is empty", "不能为空"),
    "use.goods_or_file": Said(
        "give --goods or --goods-file, one of them",
        "--goods 和 --goods-file 要给出其中一个，也只能给出一个",
    ),
    "use.environment": Said(
        "{name} is not set. Set WXLOGISTICS_ACCESS_TOKEN, or WXLOGISTICS_APPID and "
        "WXLOGISTICS_SECRET",
        "没有设置 {name}。请设置 WXLOGISTICS_ACCESS_TOKEN，或者设置 WXLOGISTICS_APPID 和 "
        "WXLOGISTICS_SECRET",
    ),
    "use.try_doctor": Said(
        "'wxlogistics doctor' helps with the set-up.",
        "运行 wxlogistics doctor 可以检查配置。",
    ),
    "use.file": Said("{path}: {reason}", "{path}：{reason}"),
    "use.disk": Said(
        "cannot write {path}: {reason}. What is there is whole; run the same command "
        "again to go on",
        "无法写入 {path}：{reason}。已写入的内容是完整的，解决后重新运行同一条命令即可继续",
    ),
    # Goods
    "goods.pair": Said(
        "{value!r} is not NAME=URL", "{value!r} 不是「名称=图片地址」的形式"
    ),
    "goods.json": Said("the goods are no JSON", "商品信息不是合法的 JSON"),
    "goods.shape": Said(
        "the goods are no list of objects with goods_name and goods_img_url",
        "商品信息应当是一个列表，每项有 goods_name 和 goods_img_url",
    ),
    "goods.unknown": Said(
        "goods have no {name}: only goods_name, goods_img_url and goods_desc",
        "商品没有 {name} 这个字段，只有 goods_name、goods_img_url、goods_desc",
    ),
    "goods.count": Said(
        "{count} goods; WeChat takes 1 to 10",
        "商品有 {count} 件；微信只接受 1 到 10 件",
    ),
    "goods.no_name": Said("goods without a goods_name", "有商品没有 goods_name"),
    # Rows
    "row.json": Said("no JSON object", "不是 JSON 对象"),
    "row.quote": Said(
        "its quotation marks do not match, or it is no CSV",
        "引号不配对，或者不是合法的 CSV",
    ),
    "row.width": Said(
        "{count} values, but the first row names {width}",
        "有 {count} 个值，而表头只有 {width} 列",
    ),
    "row.long": Said("longer than any row can be", "这一行过长"),
    "row.utf16": Said(
        'the file is UTF-16; save it as "CSV UTF-8"',
        "文件是 UTF-16 编码，请另存为「CSV UTF-8」",
    ),
    "row.workbook": Said(
        'the file is an Excel workbook; save it as "CSV UTF-8"',
        "文件是 Excel 工作簿，请另存为「CSV UTF-8」",
    ),
    "row.mac": Said(
        'the file has line ends of an old Mac; save it as "CSV UTF-8"',
        "文件的换行符是旧版 Mac 的，请另存为「CSV UTF-8」",
    ),
    "row.array": Said(
        "the file is one JSON array; put each object on a line of its own, without "
        "brackets and commas around it",
        "文件是一个 JSON 数组，请改为每行一个对象，去掉外层的方括号和逗号",
    ),
    "row.empty": Said("{name} is empty", "{name} 为空"),
    "row.type": Said("{name} is no text", "{name} 应当是文本"),
    "row.characters": Said(
        "{name} has characters that no text has: is the encoding right?",
        "{name} 中有乱码或控制字符：编码选对了吗？",
    ),
    "row.rounded": Said(
        "{name} {value} was rounded by Excel: make the column text, and fill it anew",
        "{name} {value} 被 Excel 改成了科学计数法：请把该列设为文本格式，再重新填写",
    ),
    "row.mangled": Said(
        "{name} {value} is what a spreadsheet made of it: make the column text, and "
        "fill it anew",
        "{name} {value} 被表格软件改过：请把该列设为文本格式，再重新填写",
    ),
    "row.odd": Said(
        "{name} {value!r} has full-width or invisible characters: type it anew",
        "{name} {value!r} 中有全角或不可见的字符：请用半角字符重新填写",
    ),
    "row.twice": Said("two columns are both called {name}", "有两列都是 {name}"),
    "row.no_column": Said(
        "the first row names no column {names}", "表头缺少 {names} 列"
    ),
    "row.same_waybill": Said(
        "the same parcel as row {row} with other goods: give all goods in one row, for "
        "WeChat keeps the first only",
        "和第 {row} 行是同一个运单，商品却不同：请把商品都写在同一行，因为微信只保留第一次的",
    ),
    # Bulk
    "out.needed": Said(
        "--out FILE is missing: the results need a file, to go on from",
        "缺少 --out FILE：结果要写入文件，以便断点续跑",
    ),
    "out.is_input": Said("{path} is the input", "{path} 是输入文件"),
    "out.no_file": Said("{path} is no regular file", "{path} 不是普通文件"),
    "out.held": Said("another run is writing {path}", "另一个任务正在写 {path}"),
    "out.foreign": Said(
        "{path} holds something else than results of this command: name another --out",
        "{path} 中不是本命令的结果，请用 --out 换一个文件",
    ),
    "out.changed": Said(
        "row {row} (line {line}) of the input is not what it was when {path} was "
        "begun: put the old input back, or name another --out",
        "输入的第 {row} 行（文件第 {line} 行）和生成 {path} 时不一样了："
        "请恢复原来的输入，或用 --out 换一个文件",
    ),
    "out.shorter": Said(
        "{path} has results up to row {row}, but the input ends before: put the old "
        "input back, or name another --out",
        "{path} 中已有到第 {row} 行的结果，而输入没有这么多行："
        "请恢复原来的输入，或用 --out 换一个文件",
    ),
    "bulk.ignored": Said(
        "Columns that mean nothing here: {names}", "忽略以下列：{names}"
    ),
    "bulk.goes_on": Said(
        "Going on: {done:,} rows are done already.",
        "继续上次的任务：已完成 {done:,} 行。",
    ),
    "bulk.rows": Said("{done:,} rows", "{done:,} 行"),
    "bulk.rows_of": Said("{done:,} of {total:,} rows", "{done:,} / {total:,} 行"),
    "bulk.line": Said(
        "{rows}: {good:,} good, {refused:,} refused, {failed:,} failed; {rate:,.0f}/s",
        "{rows}：成功 {good:,}，拒绝 {refused:,}，失败 {failed:,}；{rate:,.0f}/秒",
    ),
    "bulk.left": Said(", {time} left", "，剩余 {time}"),
    "bulk.rate": Said("{rate:,.0f}/s", "{rate:,.0f}/秒"),
    "bulk.eta": Said("{time} left", "剩余 {time}"),
    "bulk.waits": Said("WeChat slows us down", "微信限频，等待中"),
    "bulk.good": Said("good", "成功"),
    "bulk.refused": Said("refused", "拒绝"),
    "bulk.failed": Said("failed", "失败"),
    "bulk.ok": Said("registered", "已登记"),
    "bulk.is_failed": Said("no answer", "没有应答"),
    "bulk.is_maybe_applied": Said("perhaps registered", "可能已登记"),
    "bulk.is_invalid": Said("malformed row", "格式不对"),
    "bulk.done": Said("{done:,} rows are done", "已完成 {done:,} 行"),
    "bulk.done_of": Said(
        "{done:,} of {total:,} rows are done", "已完成 {done:,} / {total:,} 行"
    ),
    "bulk.now": Said(
        "{now:,} of them in this run: {time}, {rate:,.0f} a second",
        "本次 {now:,} 行，用时 {time}，每秒 {rate:,.0f} 行",
    ),
    "bulk.was_interrupted": Said(
        "the run was killed while this row was sent: it may be registered",
        "发送这一行时任务被终止：可能已经登记",
    ),
    "bulk.interrupted": Said(
        "Finishing what is under way; once more ends at once.",
        "正在完成已发出的请求；再按一次立即结束。",
    ),
    "bulk.stopped.quota": Said(
        "Run the same command again after {time} China time (in {hours} h {minutes} "
        "min), when WeChat counts a new day.",
        "请在北京时间 {time}（还有 {hours} 小时 {minutes} 分钟）之后重新运行同一条命令，"
        "届时调用次数会重新计算。",
    ),
    "bulk.stopped.refused": Said(
        "Stopped, since every row would be refused for this. Mend it, then run the "
        "same command again.",
        "已停止：所有行都会因此被拒绝。解决之后重新运行同一条命令即可继续。",
    ),
    "bulk.stopped.no_answer": Said(
        "Stopped, since nothing is answered any more. Run the same command again when "
        "the network is back.",
        "已停止：一直没有应答。网络恢复后重新运行同一条命令即可继续。",
    ),
    "bulk.stopped.max_calls": Said(
        "Stopped after --max-calls. Run the same command again to go on.",
        "已达到 --max-calls 的上限。重新运行同一条命令即可继续。",
    ),
    "bulk.stopped.interrupted": Said(
        "Interrupted. Run the same command again to go on.",
        "已中断。重新运行同一条命令即可继续。",
    ),
    "bulk.maybe": Said(
        "{count:,} rows may be registered, or not. Registering again is harmless, "
        "WeChat keeps the first goods: run the command with --again maybe_applied.",
        "有 {count:,} 行可能已登记，也可能没有。重复登记没有坏处（微信保留第一次的商品信息）："
        "加上 --again maybe_applied 再运行一次即可。",
    ),
    "bulk.had_no_answer": Said(
        "{count:,} rows got no answer: run the command with --again failed to try them "
        "once more.",
        "有 {count:,} 行没有得到应答：加上 --again failed 再运行一次即可重试。",
    ),
    # Errors
    "error.refused": Said(
        "WeChat refused {endpoint}: {text}", "微信拒绝了 {endpoint}：{text}"
    ),
    "error.no_errmsg": Said("no errmsg", "没有 errmsg"),
    "error.no_answer": Said(
        "No answer from WeChat to {endpoint}: {text}",
        "没有得到微信对 {endpoint} 的应答：{text}",
    ),
    "error.unexpected": Said(
        "Strange answer to {endpoint}: {text} (HTTP {status})",
        "{endpoint} 的应答不对：{text}（HTTP {status}）",
    ),
    "error.errcode": Said("errcode", "错误码"),
    "error.rid": Said("rid", "rid"),
    "error.detail": Said("detail", "详情"),
    "error.body": Said("body", "内容"),
    "error.advice": Said("advice", "建议"),
    "error.interrupted": Said("Interrupted.", "已中断。"),
    "advice.unknown": Said(
        "Look the errcode up in WeChat's document, or quote the rid to its staff.",
        "请在微信官方文档中查这个错误码，或带上 rid 到微信开放社区提问。",
    ),
    "advice.address": Said("this machine's address", "本机的出口地址"),
    "advice.not_sent": Said(
        "The request was not sent: check the network ('wxlogistics doctor' helps), "
        "then try again.",
        "请求没有发出：请检查网络（可以运行 wxlogistics doctor），然后重试。",
    ),
    "advice.query": Said("Try again.", "请重试。"),
    "advice.register": Said(
        "It may have been registered all the same. Run the command again: that is "
        "harmless, WeChat keeps the first goods and returns the waybill_token.",
        "运单可能已经登记。可以放心地再运行一次：微信会保留第一次的商品信息，并返回 "
        "waybill_token。",
    ),
    "advice.update": Said(
        "The goods may have been replaced all the same, and changes are few: see with "
        "'query' before you repeat it.",
        "商品信息可能已经更新，而修改次数有限：重试之前请先用 query 看一下。",
    ),
    "advice.unexpected": Said(
        "Something between this machine and WeChat answers: a proxy, perhaps, or a "
        "network that wants a login.",
        "是本机和微信之间的设备在应答：可能是代理，或者需要登录的网络。",
    ),
    # Waybills
    "trace.done": Said(
        "{waybill_id} is registered. Keep its waybill_token with the order:",
        "{waybill_id} 已登记。请把 waybill_token 和订单存在一起：",
    ),
    "update.done": Said("The goods are replaced: {goods}", "商品信息已更新：{goods}"),
    "query.goods": Said("Goods", "商品"),
    "query.no_path": Said(
        "WeChat tells no steps of its way.", "微信没有返回物流轨迹。"
    ),
    "query.no_status": Said("WeChat tells no status", "微信没有返回状态"),
    "query.no_name": Said("no name", "无名称"),
    # Carriers
    "carriers.id": Said("delivery_id", "运力 id"),
    "carriers.name": Said("name", "名称"),
    "carriers.count": Said("{count} carriers", "共 {count} 家"),
    "carriers.none": Said(
        "No carrier has {text} in its id or name.",
        "没有 id 或名称包含 {text} 的运力。",
    ),
    "carriers.cached": Said(
        " (the list of {time}; --refresh asks anew)",
        "（列表获取于 {time}，加 --refresh 重新获取）",
    ),
    # Errcodes
    "errors.code": Said("errcode", "错误码"),
    "errors.error": Said("exception", "异常"),
    "errors.meaning": Said("meaning", "含义"),
    "errors.advice": Said("what to do", "处理办法"),
    "errors.unknown": Said("not in the table", "不在表中"),
    "errors.pace": Said(
        "calls too fast: the errmsg names a second or a minute",
        "调用太频繁：errmsg 中有 second 或 minute",
    ),
    # Doctor
    "doctor.variables": Said("variables", "环境变量"),
    "doctor.host": Said("host", "网络"),
    "doctor.tls": Said("TLS", "TLS"),
    "doctor.token": Said("token", "token"),
    "doctor.permission": Said("permission", "权限"),
    "doctor.clock": Said("clock", "时钟"),
    "doctor.skipped": Said("not checked", "未检查"),
    "doctor.set": Said("{name} (not shown)", "{name}（不显示）"),
    "doctor.both": Said(
        "WXLOGISTICS_APPID is not used, since WXLOGISTICS_ACCESS_TOKEN is set",
        "设置了 WXLOGISTICS_ACCESS_TOKEN，所以不会用到 WXLOGISTICS_APPID",
    ),
    "doctor.not_set": Said("{names} is not set", "没有设置 {names}"),
    "doctor.set_them": Said(
        "In WeChat's console (mp.weixin.qq.com), under development settings, you find "
        "the appid and make the AppSecret. Set both in the environment, best from a "
        "file that only you can read.",
        "在微信公众平台（mp.weixin.qq.com）的「开发管理」中可以看到 appid，并生成 "
        "AppSecret。请把两者设置为环境变量，最好写在只有自己能读的文件里。",
    ),
    "doctor.odd_appid": Said(
        "WXLOGISTICS_APPID {value} is not wx and 16 hex digits",
        "WXLOGISTICS_APPID {value} 不是 wx 加 16 位十六进制字符",
    ),
    "doctor.odd_secret": Said(
        "WXLOGISTICS_SECRET has {length} characters instead of 32 hex digits",
        "WXLOGISTICS_SECRET 不是 32 位十六进制字符（现在 {length} 位）",
    ),
    "doctor.copy_again": Said(
        "Copy it from WeChat's console again, without quotes or spaces.",
        "请从微信公众平台重新复制，不要带引号和空格。",
    ),
    "doctor.bad_url": Said("{value} is no base URL", "{value} 不是合法的地址"),
    "doctor.url_like": Said(
        "Give a scheme and a host: https://api.weixin.qq.com",
        "要有协议和主机名，例如 https://api.weixin.qq.com",
    ),
    "doctor.reached": Said("{host} answers in {ms} ms", "{host} 在 {ms} 毫秒内应答"),
    "doctor.through": Said("through the proxy {proxy}", "经过代理 {proxy}"),
    "doctor.unreached": Said("{host}: {reason}", "{host}：{reason}"),
    "doctor.no_name": Said("no such host name (DNS)", "域名解析失败（DNS）"),
    "doctor.refused": Said("the connection was refused", "连接被拒绝"),
    "doctor.timeout": Said("no answer within {seconds} s", "{seconds} 秒内没有应答"),
    "doctor.proxy": Said("the proxy {proxy} does not help", "代理 {proxy} 不可用"),
    "doctor.broken": Said("the connection broke", "连接中断"),
    "doctor.check_network": Said(
        "Check the network, the firewall and the variables HTTPS_PROXY and "
        "WXLOGISTICS_BASE_URL.",
        "请检查网络、防火墙，以及环境变量 HTTPS_PROXY、WXLOGISTICS_BASE_URL。",
    ),
    "doctor.not_wechat": Said(
        "{host} answers, but not as WeChat (HTTP {status})",
        "{host} 有应答，但不是微信（HTTP {status}）",
    ),
    "doctor.certificate": Said(
        "the certificate of {host} is good", "{host} 的证书有效"
    ),
    "doctor.bad_certificate": Said(
        "the certificate of {host} is refused: {reason}",
        "{host} 的证书不可信：{reason}",
    ),
    "doctor.check_tls": Said(
        "Something between may read along, or this machine's clock is wrong. Behind a "
        "company's proxy set REQUESTS_CA_BUNDLE to its certificate.",
        "中间可能有设备在拦截，或者本机时钟不对。如果在公司代理后面，"
        "请用 REQUESTS_CA_BUNDLE 指定它的证书。",
    ),
    "doctor.no_tls": Said("not used: fine for a sandbox only", "没有使用：只适合沙箱"),
    "doctor.fetched": Said("WeChat gave an access_token", "微信返回了 access_token"),
    "doctor.accepted": Said(
        "WeChat takes the access_token", "微信接受这个 access_token"
    ),
    "doctor.permitted": Said(
        "the logistics API is open ({count} carriers)",
        "可以调用物流接口（共 {count} 家运力）",
    ),
    "doctor.clock_good": Said(
        "within {seconds} s of the server's", "与服务器相差不到 {seconds} 秒"
    ),
    "doctor.clock_off": Said(
        "{seconds} s off the server's", "与服务器相差 {seconds} 秒"
    ),
    "doctor.set_clock": Said(
        "Set this machine's clock, best by NTP.", "请校准本机时钟，建议启用 NTP。"
    ),
    "doctor.all_good": Said("All is well.", "全部正常。"),
    "doctor.problems": Said("{count} to mend.", "有 {count} 项需要处理。"),
    # The demo
    "demo.title": Said("a sandbox at {url}", "沙箱地址 {url}"),
    "demo.register": Said("Register a waybill", "传运单"),
    "demo.goods": Said("goods", "商品"),
    "demo.follow": Said("See the parcel move", "看包裹一步步流转"),
    "demo.update": Said("Correct the goods", "更新商品信息"),
    "demo.refuse": Said("Catch a refusal", "捕获错误"),
    "demo.expected": Said("expected {expected}", "应为：{expected}"),
    "demo.failed": Said("{count} steps failed", "有 {count} 步不对"),
    "demo.passed": Said("every step gave what it should", "每一步的结果都正确"),
}


def fields_of(message: str) -> set[str]:
    """
    Return the names of the fields in *message*.
    """
    import string

    found: set[Any] = {name for _, name, _, _ in string.Formatter().parse(message)}
    return {str(name) for name in found - {None}}
