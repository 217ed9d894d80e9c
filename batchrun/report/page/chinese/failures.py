"""Why rows failed and what stands still, as batchrun itself says it, and what it adds to an advice."""

from __future__ import annotations

import re

from batchrun.core.jobs.endpoints import HOSTS
from batchrun.core.scheduling.outages import IN_THE_WAY

MESSAGES = {
    "image": "图片",
    "audio": "音频",
    "video": "视频",
    "is a name that no file can have": "不可能是文件名",
    "leads through too many links": "经过的链接过多",
    "a call of each may have been billed": "每行都有一次调用可能已计费",
    # Before any call.
    "is not set in the environment": "未在环境变量中设置",
    "there is no API key": "没有 API 密钥",
    "the job does not list this model for the workspace": "作业未为该业务空间列出此模型",
    "the workspace's endpoint cannot be asked for this model": "该业务空间的 endpoint 不提供此模型",
    "the row has more input tokens than its tightest quota lets through in a minute": "该行的输入 Token 超过其最紧配额每分钟所允许的数量",
    "the protocol cannot carry this row": "该协议无法承载此行",
    "the request is larger than the provider takes": "请求超过服务商允许的大小",
    "a medium is larger than the provider takes": "媒体文件超过服务商允许的大小",
    # Before the connection stands.
    "the endpoint is no URL that can be called": "endpoint 不是可以调用的 URL",
    "the proxy that the job or the environment names is none that can be used": "作业或环境变量所指的代理无法使用",
    "the endpoint refused the connection": "endpoint 拒绝了连接",
    "the endpoint's name could not be resolved": "无法解析 endpoint 的域名",
    "no connection stood within timeouts.connect": "在 timeouts.connect 内未能建立连接",
    "the endpoint could not be reached": "无法到达 endpoint",
    "this process may open no more connections": "本进程不能再打开更多连接",
    "this machine has no port left for another connection to the endpoint": "本机没有可用于再连接 endpoint 的端口",
    "the TLS handshake failed": "TLS 握手失败",
    "the endpoint's TLS certificate could not be verified": "无法验证 endpoint 的 TLS 证书",
    "the proxy could not be used": "无法使用代理",
    "the proxy refused the connection": "代理拒绝了连接",
    # After it.
    "the connection was reset": "连接被重置",
    "the endpoint had closed the connection before the call came to it": "调用到达之前 endpoint 已关闭连接",
    "the endpoint closed the connection without an answer": "endpoint 未作回答便关闭了连接",
    "the answer fell silent for timeouts.idle": "回答在 timeouts.idle 内没有任何数据",
    "no whole answer came within timeouts.total": "在 timeouts.total 内没有收到完整的回答",
    "the answer broke off in its middle": "回答中途断开",
    "the answer was not HTTP as it should be": "回答不符合 HTTP",
    "the answer's text is damaged: it is in another encoding than UTF-8": "回答的文本已损坏：其编码不是 UTF-8",
    "the provider broke the answer off when its own time for a plain call was up": "非流式调用达到服务商的时限，回答被中断",
    "the answer is larger than batchrun takes": "回答超过 batchrun 接收的大小",
    "the answer's values would take more memory than batchrun gives one answer": "回答所含的值会占用超出单个回答上限的内存",
    "this machine had no memory left for the call": "本机没有内存可供此次调用",
    # In a whole answer.
    "the answer has no body": "回答没有内容",
    "the answer is a web page": "回答是一个网页",
    "the answer is an event stream that cannot be read": "回答是无法读取的事件流",
    "an event of the stream is no JSON object": "流中有一个事件不是 JSON 对象",
    "the answer is no JSON": "回答不是 JSON",
    "the answer is no JSON object": "回答不是 JSON 对象",
    "the answer is nested too deeply": "回答嵌套过深",
    "the answer has no choices": "回答没有 choices",
    "the answer's choice has no message": "回答的 choice 中没有 message",
    "the answer has no finish reason: it is not whole": "回答没有 finish_reason：不完整",
    "the endpoint broke the answer off, as its finish reason says": "endpoint 中断了回答，其 finish_reason 如此说明",
    "the answer says nothing, and counts no token of it": "回答没有任何内容，也没有计入任何输出 token",
    "an error came under status 200": "状态码 200 之下返回了错误",
    "$: empty": "$：空",
    "$: nested too deeply": "$：嵌套过深",
    "a tool call without a function and its arguments": "工具调用缺少函数及其参数",
    # What to do.
    "correct endpoint of this workspace, if it is not the base URL of a chat API (one's own is a URL up to /chat/completions); else a "
    "gateway or a firewall between here and the provider answers, maybe for a sign-in: ask whoever runs that": (
        "若该业务空间的 endpoint 不是对话 API 的基础 URL，请更正它（自建服务写到 /chat/completions 之前）；"
        "否则是本机与服务商之间的网关或防火墙在应答，可能要求登录：请询问其管理者"
    ),
    "usually passes: it is tried again, and the same command goes on with the rows that are left": (
        "通常会自行恢复：会自动重试，同一命令会继续处理剩余的行"
    ),
    "usually passes: it is tried again": "通常会自行恢复：会自动重试",
    "if it stays, look at the network between this machine and the workspace's endpoint": (
        "若持续如此，请检查本机与该业务空间 endpoint 之间的网络"
    ),
    "if it stays, look at the network between this machine and the workspace's endpoint: is it https that is spoken there?": (
        "若持续如此，请检查本机与该业务空间 endpoint 之间的网络：对方使用的是 https 吗？"
    ),
    "if answers are long, raise idle or total under [timeouts], or lower max_tokens": (
        "若回答很长，请调高 [timeouts] 中的 idle 或 total，或调低 max_tokens"
    ),
    "if every row gets this, the workspace's endpoint is not the base URL of a chat API, or a proxy answers for it": (
        "若每一行都如此，则该业务空间的 endpoint 不是对话 API 的基础 URL，或由代理代为应答"
    ),
    "if it stays, nothing listens at the workspace's endpoint: start the server there, or correct the endpoint": (
        "若持续如此，则该业务空间的 endpoint 上没有服务在监听：请启动该服务，或更正 endpoint"
    ),
    f"if it stays, the host in the workspace's endpoint is mistyped: the provider's are {HOSTS}": (
        f"若持续如此，则该业务空间 endpoint 的主机名有误：服务商的主机为 {HOSTS}"
    ),
    "a web page is not the provider's word: a firewall or a gateway between here and it has refused the call, maybe for the row's text: "
    "ask whoever runs that; if a server of your own says so, correct the row or the parameters it is asked under": (
        "网页并非服务商的答复：本机与服务商之间的防火墙或网关拒绝了该调用，可能因该行的文本：请询问其管理者；"
        "若由自建服务返回，请修正该行或其请求参数"
    ),
    "if it stays, check the proxy that the job or the environment names": "若持续如此，请检查作业或环境变量所指的代理",
    'name one under http or https: transport.proxy in the job or, where that is "environment", HTTPS_PROXY or HTTP_PROXY, which go '
    "before ALL_PROXY": (
        "请指定以 http 或 https 开头的代理：作业中的 transport.proxy；若其为 environment，则为 HTTPS_PROXY 或 HTTP_PROXY（先于 ALL_PROXY）"
    ),
    "check the proxy that the job or the environment names, its credentials (407), and whether it lets calls to this host through (403)": (
        "检查作业或环境变量所指的代理、其凭据（407），以及它是否放行到该主机的调用（403）"
    ),
    "if it stays, look at what else calls from here, lower concurrency, or have the system give more ports (sysctl "
    "net.ipv4.ip_local_port_range)": (
        "若持续如此，请查看本机还有什么在发起调用，调低 concurrency，或让系统提供更多端口（sysctl net.ipv4.ip_local_port_range）"
    ),
    "if it stays, lower concurrency or transport.max_response_bytes": "若持续如此，请调低 concurrency 或 transport.max_response_bytes",
    "if it stays, look at the disk and at the limit of open files (ulimit -n)": "若持续如此，请检查磁盘与打开文件数上限（ulimit -n）",
    "set protocol or endpoint of this workspace so that they fit, or give these rows another model": (
        "设置该业务空间的 protocol 或 endpoint 使两者相符，或为这些行换用其他模型"
    ),
    "raise tpm in the job, or make the row smaller": "在作业中调高 tpm，或缩小该行",
    "correct the row, or set protocol of its workspace": "修正该行，或设置其业务空间的 protocol",
    "make it smaller, or name its media by http(s) URLs": "缩小请求，或用 http(s) URL 指明媒体",
    "make it smaller, or name it by an http(s) URL": "缩小文件，或用 http(s) URL 指明它",
    "correct endpoint of this workspace in the job file": "修正作业文件中该业务空间的 endpoint",
    "raise the limit of open files (ulimit -n) or lower concurrency": "调高打开文件数上限（ulimit -n）或调低 concurrency",
    "check the host in the workspace's endpoint, and this machine's clock where it is said to have expired or not to be valid yet; where a "
    "company proxy opens TLS, name its certificate file in SSL_CERT_FILE": (
        "检查该业务空间 endpoint 的主机名；若提示证书已过期或尚未生效，请检查本机时钟；"
        "若公司代理会解开 TLS，请在 SSL_CERT_FILE 中指明其证书文件"
    ),
    "have whoever runs the endpoint, or a gateway before it, answer in UTF-8 (what could be read stands beside this failure)": (
        "请 endpoint 或其前网关的管理者以 UTF-8 应答（能读出的内容在该失败旁）"
    ),
    "set stream = true for this row or its workspace, or lower max_tokens (what came of the answer stands beside this failure)": (
        "为该行或其业务空间设置 stream = true，或调低 max_tokens（已收到的部分在该失败旁）"
    ),
    "lower max_tokens or n of this row": "调低该行的 max_tokens 或 n",
    "lower top_logprobs, max_tokens or n of this row": "调低该行的 top_logprobs、max_tokens 或 n",
    "look at the content beside this failure: say in the prompt what is wanted, loosen [answers] schema, or raise max_tokens where it is "
    "cut": "查看该失败旁的 content：在提示词中说明要求，放宽 [answers] schema，或在回答被截断时调高 max_tokens",
    "the answer stands beside this failure: simplify this pattern of [answers] schema, which can take one text apart in very many ways, or "
    "leave it out": "回答在该失败旁：简化 [answers] schema 中的这个 pattern（它能以极多方式拆分同一文本），或去掉它",
    "correct the path in the row or put the file there; a relative path starts at the input file's folder, and content in base64 begins "
    "with data:image/png;base64, (or its own type)": (
        "修正该行中的路径，或将文件放到该处；相对路径从输入文件所在文件夹算起，base64 内容以 data:image/png;base64,（或相应类型）开头"
    ),
    "correct the path in the row, put the file into that folder, or have [media] root name one that holds it": (
        "修正该行中的路径，或将文件放入该文件夹，或以 [media] root 指明包含它的文件夹"
    ),
    "make the file smaller, or put an http(s) URL into the row, which the provider fetches itself": (
        "缩小文件，或在该行中填写 http(s) URL，由服务商自行获取"
    ),
    "correct the path in the row, or make it a file that may be read": "修正该行中的路径，或使该文件可读",
    "correct the path in the row, or convert the file": "修正该行中的路径，或转换文件格式",
    "then run the same command again": "然后再次运行同一命令",
    "give the rows another model": "为这些行换用其他模型",
    "raise the budget, or set max_tokens, or a lower one: a row without it is taken to be answered at full length": (
        "提高预算，或设置、调低 max_tokens：未设置的行按最长回答计算"
    ),
}

OF_FAILURES = (
    # What is added to an advice.
    (r"nothing but failures for (?P<n>\d+) minutes, whatever the row: (?P<said>.+)", "{n} 分钟内无论哪一行都只有失败：{said}"),
    (
        r"throttled for (?P<n>\d+) minutes without one answer: a quota may be used up; (?P<said>.+)",
        "限流已持续 {n} 分钟且没有一个回答：配额可能已用尽；{said}",
    ),
    (
        r"the first (?P<n>\d+) answers were all this: (?P<said>.+); then run with --retry-rejected",
        "前 {n} 个回答均为此：{said}；然后加 --retry-rejected 运行",
    ),
    (
        re.escape(IN_THE_WAY) + r"(?P<said>.+)",
        (
            "会自动重试，因为该业务空间与模型的其他行已有回答：若此行始终没有，则是本机与服务商之间的防火墙或网关拒绝它，"
            "通常因其文本：请询问其管理者，或改写该行；若所有行都不再有回答：{said}"
        ),
    ),
    (r'is "(?P<model>[^"]+)" meant\? (?P<said>.+)', "是否指“{model}”？{said}"),
    (r"(?P<said>.+); then run the same command again: the rows are still pending", "{said}；然后再次运行同一命令：这些行仍在等待"),
    (r"(?P<said>.+); then run the same command again", "{said}；然后再次运行同一命令"),
    (r"(?P<said>.+); the row runs at the next start with --retry-rejected", "{said}；该行在下次启动时加 --retry-rejected 重试"),
    (
        r"(?P<said>.+); (?:it|the row) is asked again only with --retry-rejected, because each try is billed",
        "{said}；只有加 --retry-rejected 才会重新请求，因为每次尝试都会计费",
    ),
    (r"(?P<said>usually passes: .+); (?P<said_then>if .+)", "{said}；{said_then}"),
    # Keys, models, routes, hours.
    (r"(?P<said>is (?:not )?set .+) \((?P<other>\w+) is\)", "{said}（已设置的是 {other}）"),
    (r"is not set in the environment, and (?P<file>.+) is a folder", "未在环境变量中设置，且 {file} 是文件夹"),
    (r"is not set in the environment, and no (?P<file>.+) stands in (?P<folder>.+)", "未在环境变量中设置，{folder} 中也没有 {file}"),
    (r"is set neither in the environment nor in (?P<file>.+)", "在环境变量与 {file} 中均未设置"),
    (r"is empty in the (?P<place>\S+), which goes before (?P<file>.+)", "在 {place} 中为空，而它优先于 {file}"),
    (r"is empty in (?P<place>.+)", "在 {place} 中为空"),
    (
        r"(?P<key>\S+) (?P<said>.+): set it to the API key of this workspace and run the same command again",
        "{key} {said}：将其设为该业务空间的 API 密钥，然后再次运行同一命令",
    ),
    (
        r'"(?P<meant>.+)" is listed: correct what .+, or add "(?P<model>.+)" to (?P<where>workspaces\..+) once .+',
        "已列出“{meant}”：请在作业或这些行中更正拼写，或在该业务空间获得授权后将“{model}”加入 {where}",
    ),
    (
        r'(?P<said>give the rows another model), or add "(?P<model>.+)" to (?P<where>workspaces\..+) once the workspace is .+',
        "{said}，或在该业务空间获得授权后将“{model}”加入 {where}",
    ),
    (
        r"(?P<endpoint>.+) does not speak (?P<protocol>\S+), and (?P<model>\S+) is not served by the OpenAI-compatible route",
        "{endpoint} 不支持 {protocol}，而 {model} 不由 OpenAI 兼容接口提供",
    ),
    (
        r"(?P<endpoint>.+) does not speak (?P<protocol>\S+), and (?P<set>protocol = .+) is set",
        "{endpoint} 不支持 {protocol}，而作业设置了 {set}",
    ),
    (r"closed until (?P<when>.+)", "关闭至 {when}"),
    (r"given up after (?P<calls>\d+) calls? that may (?:each )?have been billed: (?P<may>.+)", "{calls} 次可能已计费的调用之后放弃：{may}"),
    # Budgets.
    (r"(?P<cap>.+ = .+): (?P<model>\S+) has no price in (?P<unit>\S+)", "{cap}：{model} 没有以 {unit} 计的价格"),
    (
        (
            r"name the currency that (?P<model>.+) is priced in as the budget's, if it is priced \(batchrun prices\); "
            r"else give it a price in \[prices\], or say in the budget what an unpriced model counts as"
        ),
        (
            "若 {model} 有价格（见 batchrun prices），请将预算币种改为其计价币种；"
            "否则在 [prices] 中给出其价格，或在预算中说明无价格的模型如何计算"
        ),
    ),
    (
        r"(?P<said>.+); the (?P<rows>[\d,]+) rows? left would come to about (?P<about>.+), if they are like those before: batchrun plan .+",
        "{said}；剩余的 {rows} 行若与此前各行相似，预计约为 {about}（batchrun plan 会逐行查看）",
    ),
    (r"(?P<said>.+); the (?P<rows>[\d,]+) rows? left would come to about (?P<about>.+)", "{said}；剩余的 {rows} 行预计约为 {about}"),
    (
        (
            r"(?P<cap>.+ = .+): (?P<spent>[^;]+) spent(?P<may_whose>(?:, [^;]+)?); "
            r"the next row may cost (?P<price>[^;]*?)(?P<may>(?:, its .*)?)"
        ),
        "{cap}：已花费 {spent}{may_whose}；下一行最多可能花费 {price}{may}",
    ),
    (r"(?P<may>(?:, .+)?), (?P<held>[\d,.]+ \S+) more held by other runs for their calls", "{may}，另有 {held} 由其他运行为其调用预留"),
    (r", (?P<others>[^;]+) of it by other runs(?P<may>.*)", "，其中其他运行 {others}{may}"),
    (r", (?P<doubt>[^;]+) of it at the most by calls in doubt", "，其中存疑的调用最多 {doubt}"),
    (r"(?P<may>, its input being .+)(?P<may_too>, its output being .+)", "{may}{may_too}"),
    (
        r", its output being (?P<most>[\d,]+) tokens at the most: .+ count as (?P<each>[\d,]+)",
        "，其输出最多按 {most} Token 计：未设 max_tokens 的回答与未设 thinking_budget 的思考各计 {each}",
    ),
    (
        r", its input being (?P<asked>[\d,]+) tokens at the most: .+ one, uploaded files as (?P<files>[\d,]+), .+ (?P<tools>[\d,]+)",
        "，其输入最多按 {asked} Token 计：每字节计 1，上传的文件计 {files}，服务商为其搜索或运行的内容计 {tools}",
    ),
    (
        r"(?P<said>raise the budget.+); where the model thinks, thinking_budget too, for max_tokens does not bound that",
        "{said}；会思考的模型还需设置 thinking_budget，因为 max_tokens 不限制思考的长度",
    ),
    (
        r"raise the budget, or wait for the next (?:day|month) \(--wait goes on by itself\), or set max_tokens.+",
        "提高预算，或等待下一个周期（--wait 会自动继续），或设置、调低 max_tokens：未设置的行按最长回答计算",
    ),
    (
        r"raise the budget, or lower max_tokens, which budgets set to (?P<most>[\d,]+) where a row sets none",
        "提高预算，或调低 max_tokens（预算为未设置的行设为 {most}）",
    ),
    (
        r"raise the budget, or wait for the next (?:day|month) .+, or lower max_tokens, .+ set to (?P<most>[\d,]+) .+",
        "提高预算，或等待下一个周期（--wait 会自动继续），或调低 max_tokens（预算为未设置的行设为 {most}）",
    ),
    # Media.
    (r"is a (?P<what>folder|pipe or a device), not a file", "不是文件"),
    (r"the (?P<said_kind>image|audio|video) (?P<name>['\"].+['\"]) (?P<said>(?:is|cannot|leads|does) .+)", "{said_kind} {name} {said}"),
    (r"cannot be found \((?P<why>.+)\)", "找不到（{why}）"),
    (r"cannot be read \((?P<why>.+)\)", "无法读取（{why}）"),
    (r"leads out of the folder that holds the media, (?P<root>.+)", "指向媒体文件夹 {root} 之外"),
    (r"is empty, where the row needs one of these: (?P<taken>.+)", "为空，而该行需要以下格式之一：{taken}"),
    (r"is (?P<type>\w+/\S+), where the row needs one of these: (?P<taken>.+)", "是 {type}，而该行需要以下格式之一：{taken}"),
    (r"does not begin like any, where the row needs one of these: (?P<taken>.+)", "不是任何已知格式，而该行需要以下格式之一：{taken}"),
    (
        r"is too large: at most some (?P<file>[\d,]+) bytes, (?P<url>[\d,]+) as a data URL",
        "过大：最多约 {file} 字节，作为 data URL 最多 {url} 字节",
    ),
    # Answers.
    (r"\$: not JSON \((?P<why>.+) at line (?P<line>\d+), column (?P<column>\d+)\)", "$：不是 JSON（第 {line} 行第 {column} 列：{why}）"),
    (r"whether it fits was not found out in time: pattern (?P<pattern>.+)", "未能及时判定其是否符合：pattern {pattern}"),
    (
        r"the arguments of (?P<name>.+) are not JSON \((?P<why>.+) at column (?P<column>\d+)\)",
        "{name} 的参数不是 JSON（第 {column} 列：{why}）",
    ),
    (
        r"the endpoint answered (?P<status>\d+) and said nothing",
        "endpoint 返回了 {status}，没有任何说明",
    ),
    (r"the endpoint answered (?P<status>\d+) with a redirect to (?P<place>\S+)", "endpoint 返回了 {status}，重定向到 {place}"),
    # What happened, with its details.
    (r"(?P<said>.+) \(called: (?P<url>\S+)\)", "{said}（调用地址：{url}）"),
    (r"the answer is a web page: (?P<title>.+)", "回答是一个网页：{title}"),
    (r"(?P<said>the [^(]+|an [^(]+|a [^(]+|no [^(]+|this [^(]+) \((?P<may>.+)\)", "{said}（{may}）"),
)
