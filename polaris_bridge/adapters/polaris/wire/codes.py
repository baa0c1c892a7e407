"""The codes of native answers: the text that goes with each, in two languages, and the HTTP status.

A code's first three digits are its HTTP status. The English texts are those of the real server, letter by letter where it has one
(23 codes have an empty text there; an error without a word helps nobody, so ours has one); the Chinese ones are our own.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from . import v1

ENGLISH: Final = "en"
CHINESE: Final = "zh"

TEXTS: Final[dict[int, tuple[str, str]]] = {
    0: ("unknown", "未知"),
    200000: ("execute success", "执行成功"),
    200001: ("discover data is no change", "数据没有变化"),
    200002: ("update data is no change, no need to update", "内容没有变化，无需更新"),
    400000: ("bad request", "请求有误"),
    400001: ("request decode failed", "请求内容无法解析"),
    400002: ("empty request", "请求为空"),
    400003: ("batch size over the limit", "批量请求的条数超过上限"),
    400004: ("invalid discover resource", "不支持的服务发现资源类型"),
    400100: ("invalid request id", "请求 ID 不合法"),
    400101: ("invalid user name", "用户名不合法"),
    400102: ("invalid user token", "用户令牌不合法"),
    400103: ("invalid parameter", "参数不合法"),
    400104: ("query instance parameter is empty", "缺少查询实例的参数"),
    400105: ("query instance, service or namespace or host is required", "查询实例时需要给出服务名、命名空间或主机"),
    400110: ("invalid namespace name", "命名空间名称不合法"),
    400111: ("invalid namespace owners", "命名空间负责人不合法"),
    400112: ("invalid namespace token", "命名空间令牌不合法"),
    400120: ("invalid service name", "服务名不合法"),
    400121: ("invalid service owners", "服务负责人不合法"),
    400122: ("invalid service token", "服务令牌不合法"),
    400123: ("invalid service metadata", "服务元数据不合法"),
    400124: ("invalid service ports", "服务端口不合法"),
    400125: ("invalid service business", "服务所属业务不合法"),
    400126: ("invalid service department", "服务所属部门不合法"),
    400127: ("invalid service CMDB", "服务 CMDB 信息不合法"),
    400128: ("invalid service comment", "服务描述不合法"),
    400129: ("invalid service alias comment", "服务别名描述不合法"),
    400130: ("invalid instance id", "实例 ID 不合法"),
    400131: ("invalid instance host", "实例主机不合法"),
    400132: ("invalid instance port", "实例端口不合法"),
    400133: ("invalid service alias", "服务别名不合法"),
    400134: ("request namespace is not allow to create sid type alias", "该命名空间下不能创建 SID 类型的别名"),
    400135: ("invalid service alias owners", "服务别名负责人不合法"),
    400136: ("invalid instance protocol", "实例协议不合法"),
    400137: ("invalid instance version", "实例版本不合法"),
    400138: ("invalid instance logic set", "实例逻辑分组不合法"),
    400139: ("invalid instance isolate", "实例隔离状态不合法"),
    400140: ("server not open health check", "服务端没有开启健康检查"),
    400141: ("heartbeat on disabled instance", "实例没有开启健康检查，不接受心跳"),
    400142: ("instance can only heartbeat 1 time per second", "同一实例每秒只能上报一次心跳"),
    400143: ("heartbeat type not found", "找不到该心跳类型"),
    400150: (
        "the length of metadata is too long or metadata contains invalid characters",
        "元数据过长，或含有不允许的字符",
    ),
    400151: ("invalid rate limit id", "限流规则 ID 不合法"),
    400152: ("invalid rate limit labels", "限流规则标签不合法"),
    400153: ("invalid rate limit amounts", "限流规则阈值不合法"),
    400154: ("invalid rate limit name", "限流规则名称不合法"),
    400160: ("invalid circuit breaker id", "熔断规则 ID 不合法"),
    400161: ("invalid circuit breaker version", "熔断规则版本不合法"),
    400162: ("invalid circuit breaker name", "熔断规则名称不合法"),
    400163: ("invalid circuit breaker namespace", "熔断规则命名空间不合法"),
    400164: ("invalid circuit breaker owners", "熔断规则负责人不合法"),
    400165: ("invalid circuit breaker token", "熔断规则令牌不合法"),
    400166: ("invalid circuit breaker business", "熔断规则所属业务不合法"),
    400167: ("invalid circuit breaker department", "熔断规则所属部门不合法"),
    400168: ("invalid circuit breaker comment", "熔断规则描述不合法"),
    400169: ("circuit breaker rule existed", "熔断规则已存在"),
    400170: ("services existed mesh", "网格下还有服务"),
    400171: ("resources existed mesh", "网格下还有资源"),
    400172: ("invalid mesh parameter", "网格参数不合法"),
    400180: ("invalid platform id", "平台 ID 不合法"),
    400181: ("invalid platform name", "平台名称不合法"),
    400182: ("invalid platform domain", "平台域名不合法"),
    400183: ("invalid platform qps", "平台 QPS 不合法"),
    400184: ("invalid platform token", "平台令牌不合法"),
    400185: ("invalid platform owner", "平台负责人不合法"),
    400186: ("invalid platform department", "平台所属部门不合法"),
    400187: ("invalid platform comment", "平台描述不合法"),
    400188: ("not found platform", "平台不存在"),
    400190: ("invalid flux ratelimit id", "流量限制规则 ID 不合法"),
    400191: ("invalid flux ratelimit qps", "流量限制规则 QPS 不合法"),
    400192: ("invalid flux ratelimit key", "流量限制规则键不合法"),
    400201: ("existed resource", "资源已存在"),
    400202: ("not found resource", "资源不存在"),
    400203: ("some services existed in namespace", "命名空间下还有服务"),
    400204: ("some instances existed in service", "服务下还有实例"),
    400205: ("some routings existed in service", "服务下还有路由规则"),
    400206: ("some rate limits existed in service", "服务下还有限流规则"),
    400207: ("exist released config", "还有已发布的配置"),
    400208: ("the same instance request", "同一实例的请求重复"),
    400209: ("some circuit breakers existed in service", "服务下还有熔断规则"),
    400210: ("some aliases existed in service", "服务还有别名"),
    400211: ("some mesh resources existed in namespace", "命名空间下还有网格资源"),
    400212: ("some circuit breakers existed in namespace", "命名空间下还有熔断规则"),
    400213: ("service subscribed by some mesh", "服务还被网格订阅"),
    400214: ("some flux rate limits existed in service", "服务下还有流量限制规则"),
    400215: ("exist user", "用户已存在"),
    400216: ("exist usergroup", "用户组已存在"),
    400217: ("exist auth strategy rule", "鉴权策略已存在"),
    400218: ("some sub-account existed in owner", "主账号下还有子账号"),
    400219: ("some config group existed in namespace", "命名空间下还有配置分组"),
    400230: ("maximum capacity exceeded", "超过容量上限"),
    400301: ("not found service", "服务不存在"),
    400302: ("not found routing", "路由规则不存在"),
    400303: ("not found instances", "实例不存在"),
    400304: ("not found service alias", "服务别名不存在"),
    400305: ("not found namespace", "命名空间不存在"),
    400306: ("not found the source service link with the alias", "别名所指向的服务不存在"),
    400307: ("not found rate limit", "限流规则不存在"),
    400308: ("not found circuit breaker", "熔断规则不存在"),
    400309: ("not found master config", "主版本配置不存在"),
    400310: ("not found tag config", "标签版本配置不存在"),
    400311: (
        "not found tag config or service, or relation already exists",
        "标签版本配置或服务不存在，或者两者已经关联",
    ),
    400312: ("not found user", "用户不存在"),
    400313: ("not found owner user", "主账号不存在"),
    400314: ("not found usergroup", "用户组不存在"),
    400315: ("not found auth strategy rule", "鉴权策略不存在"),
    400401: ("client api is not open", "客户端接口没有开放"),
    400402: ("not allow requesting business service", "不允许访问业务服务"),
    400410: ("invalid user owners", "用户的主账号不合法"),
    400411: ("invalid user-id", "用户 ID 不合法"),
    400412: ("invalid user password", "用户密码不合法"),
    400413: ("invalid user mobile", "用户手机号不合法"),
    400414: ("invalid user email", "用户邮箱不合法"),
    400420: ("invalid usergroup owner attribute", "用户组的主账号不合法"),
    400421: ("invalid usergroup id", "用户组 ID 不合法"),
    400430: ("invalid auth strategy rule owner", "鉴权策略的主账号不合法"),
    400431: ("invalid auth strategy rule name", "鉴权策略名称不合法"),
    400432: ("invalid auth strategy rule id", "鉴权策略 ID 不合法"),
    400440: ("invalid principal type", "成员类型不合法"),
    400501: ("not allow service alias updating", "不允许修改服务别名"),
    400502: ("not allow service alias creating instance", "不允许给服务别名创建实例"),
    400503: ("not allow service alias creating routing config", "不允许给服务别名创建路由规则"),
    400504: ("only source service can create alias", "只能为源服务创建别名"),
    400505: ("not allow service alias creating rate limit", "不允许给服务别名创建限流规则"),
    400506: ("not allow service alias binding rule", "不允许给服务别名绑定规则"),
    400507: ("not allow different namespace binding rule", "不允许绑定其他命名空间的规则"),
    400508: ("not allow modify default strategy principal", "不允许修改默认策略的成员"),
    400509: ("not allow modify main account default strategy", "不允许修改主账号的默认策略"),
    400700: ("invalid routing id", "路由规则 ID 不合法"),
    400701: (
        "invalid routing policy, only support (RulePolicy,MetadataPolicy)",
        "路由策略不合法，只支持 RulePolicy 和 MetadataPolicy",
    ),
    400702: ("invalid routing name", "路由规则名称不合法"),
    400703: ("invalid routing priority", "路由规则优先级不合法"),
    400801: ("invalid config file group name", "配置分组名称不合法"),
    400802: ("invalid config file name", "配置文件名称不合法"),
    400803: ("config file content too long", "配置文件内容过长"),
    400804: (
        "invalid config file format, support json,xml,html,properties,text,yaml",
        "配置文件格式不合法，支持 json、xml、html、properties、text、yaml",
    ),
    400805: (
        "invalid config file tags, tags should be pair, like key1,value1,key2,value2, both key and value should not blank",
        "配置文件标签不合法，标签需成对给出，如 key1,value1,key2,value2，键和值都不能为空",
    ),
    400806: ("invalid watch config file format", "监听配置文件的请求格式不合法"),
    400807: ("config file not existed", "配置文件不存在"),
    400808: ("invalid config file template name", "配置模板名称不合法"),
    400809: ("encrypt config file exception", "配置文件加密失败"),
    400810: ("some active releases existed in config group", "配置分组下还有生效的发布"),
    400811: ("decrypt config file exception", "配置文件解密失败"),
    400812: ("invalid config release id", "配置发布 ID 不合法"),
    400813: ("config content does not match its format", "配置内容与格式不符"),
    400814: ("invalid config content", "配置内容不合法"),
    400815: ("invalid config id", "配置 ID 不合法"),
    400900: ("invalid fault detect id", "探测规则 ID 不合法"),
    400901: ("invalid fault detect name", "探测规则名称不合法"),
    400902: ("invalid fault detect namespace", "探测规则命名空间不合法"),
    400903: ("fault detect rule existed", "探测规则已存在"),
    400904: ("invalid gray config beta labels", "灰度发布的标签不合法"),
    401000: ("unauthorized", "未经认证"),
    401001: ("access is not approved", "没有访问权限"),
    401002: ("auth token empty", "令牌为空"),
    401003: ("token already disabled", "令牌已停用"),
    401004: ("token not existed", "令牌不存在"),
    403001: ("token verify exception", "令牌校验异常"),
    403002: ("operation role exception", "操作角色异常"),
    403003: ("server limit the api access", "接口访问过于频繁"),
    404001: ("not found the host cmdb", "CMDB 中找不到该主机"),
    409000: ("data is conflict, please try again", "数据有冲突，请重试"),
    429001: ("your instance has too many requests", "该实例的请求过于频繁"),
    429002: ("server limit the ip access", "该 IP 的请求过于频繁"),
    500000: ("execute exception", "执行异常"),
    500001: ("store layer exception", "存储层异常"),
    500002: ("cmdb plugin exception", "CMDB 插件异常"),
    500004: ("parsing routing failed", "解析路由规则失败"),
    500005: ("parse rate limit failed", "解析限流规则失败"),
    500006: ("parse circuit breaker failed", "解析熔断规则失败"),
    500007: ("heartbeat execute exception", "处理心跳异常"),
    500008: ("instance async regist timeout", "实例异步注册超时"),
}
"""English and Chinese text by code."""


def info(code: int) -> str:
    """The English text of a code, which answers carry unless they have something more precise to say; empty for none."""
    return TEXTS.get(code, _NONE)[0]


def http_status(code: int) -> int:
    """The HTTP status of an answer. 500 for what is no code of the protocol's kind."""
    status = code // 1000
    return status if 200 <= status < 600 else 500


def name(code: int) -> str:
    """The name in the specification, as metrics and logs show it; the number as text when there is none."""
    return _names().get(code) or str(code)


def translate(code: int, text: str, language: str) -> str:
    """``text`` in another language when it is the code's standard text; any other text stays, as on the real server."""
    english, chinese = TEXTS.get(code, _NONE)
    return chinese if language == CHINESE and text == english and chinese else text


def language(lang: str, accept_language: str) -> str:
    """The language to answer in: parameter ``lang`` before header Accept-Language, there by quality and then order. English when
    neither names one that we have."""
    asked = _primary(lang)
    if asked in _LANGUAGES:
        return asked
    best, found = 0.0, ENGLISH
    for part in accept_language.split(",")[:_MAX_WISHES]:
        tag, _, parameter = part.partition(";")
        quality = _quality(parameter)
        if quality > best and _primary(tag) in _LANGUAGES:
            best, found = quality, _primary(tag)
    return found


def _primary(tag: str) -> str:
    return tag.strip().replace("_", "-").partition("-")[0].lower()


def _quality(parameter: str) -> float:
    key, _, number = parameter.strip().partition("=")
    if key.strip().lower() != "q":
        return 1.0
    try:
        return min(1.0, max(0.0, float(number)))
    except ValueError:
        return 0.0


@cache
def _names() -> dict[int, str]:
    return {number: name for name, number in v1.MESSAGES.enum("v1.Code").items()}


_NONE: Final = ("", "")
_LANGUAGES: Final = (ENGLISH, CHINESE)
_MAX_WISHES: Final = 32
