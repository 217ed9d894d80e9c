"""What to do about what the provider says, and about hours that have not begun."""

from __future__ import annotations

from batchrun.core.jobs.endpoints import HOSTS
from batchrun.core.scheduling.billed import OF_NO_USE

ADVICE = {
    "batchrun report RUN --in-doubt lists them; to have them sent again, run with --send-in-doubt": (
        "batchrun report RUN --in-doubt 可列出这些行；如需重新发送，请加 --send-in-doubt 运行"
    ),
    "correct the row or the parameters it is asked under": "修正该行或其请求参数",
    "content inspection stopped this row: rephrase its prompt; if it was the answer that was stopped, the same row may pass": (
        "该行被内容审核拦截：请改写提示词；若被拦截的是回答，同一行重试可能通过"
    ),
    "make the row smaller: the provider takes 16 MiB a call, 64 MiB with inline media": (
        "缩小该行：服务商每次调用最多接收 16 MiB，含内联媒体时为 64 MiB"
    ),
    "if the row is no larger than the provider takes (16 MiB a call, 64 MiB with inline media), a gateway between here and it takes less: "
    "have whoever runs that raise its limit (nginx's client_max_body_size is 1 MiB by default); else make the row smaller": (
        "若该行未超过服务商的上限（每次调用 16 MiB，含内联媒体时为 64 MiB），则是本机与服务商之间的网关上限更低："
        "请其管理者调高（nginx 的 client_max_body_size 默认为 1 MiB）；否则缩小该行"
    ),
    "check the key in the variable that api_key_env of this workspace names: it must be a live key of this workspace, from the same region "
    "as its endpoint": "检查该业务空间 api_key_env 所指变量中的密钥：须为该业务空间的有效密钥，且与 endpoint 属于同一地域",
    "if this is a web page, a gateway between here and the provider wants a name and a password of its own: ask whoever runs that; else "
    "check the key in the variable that api_key_env of this workspace names: it must be a live key of this workspace, from the same region "
    "as its endpoint": (
        "若返回的是网页，则是本机与服务商之间的网关要求其自己的用户名与密码：请询问其管理者；"
        "否则检查该业务空间 api_key_env 所指变量中的密钥：须为该业务空间的有效密钥，且与 endpoint 属于同一地域"
    ),
    "ask the account's owner to admit this key to the workspace in the console (Model Studio > workspace), or correct api_key_env and "
    "endpoint so that both belong to the same workspace": (
        "请账号所有者在控制台（百炼 > 业务空间）允许该密钥访问此业务空间，或修正 api_key_env 与 endpoint，使两者属于同一业务空间"
    ),
    "correct endpoint and api_key_env of this workspace: the provider does not know it": (
        "修正该业务空间的 endpoint 与 api_key_env：服务商不认识它"
    ),
    "ask the account's owner to give the RAM user the permission the message names": "请账号所有者授予 RAM 用户消息中所述的权限",
    "ask the account's owner to authorise this model for the workspace in the console (Model Studio > workspace > model authorisation), or "
    "give these rows another model": "请账号所有者在控制台（百炼 > 业务空间 > 模型授权）为该业务空间授权此模型，或为这些行换用其他模型",
    "if this is a web page, a firewall or a gateway between here and the provider has refused the call, maybe for the row's text: ask "
    "whoever runs that; else ask the account's owner to authorise this model for the workspace in the console (Model Studio > workspace > "
    "model authorisation), or give these rows another model": (
        "若返回的是网页，则是本机与服务商之间的防火墙或网关拒绝了该调用，可能因该行的文本：请询问其管理者；"
        "否则请账号所有者在控制台（百炼 > 业务空间 > 模型授权）为该业务空间授权此模型，或为这些行换用其他模型"
    ),
    "give these rows another model, if the provider has taken this one offline; else correct endpoint and api_key_env of this workspace so "
    "that both belong to it": (
        "若服务商已下线该模型，请为这些行换用其他模型；否则修正该业务空间的 endpoint 与 api_key_env，使两者都属于它"
    ),
    "this model is not to be had, or no longer, with this key or by this kind of call: give these rows another model or another protocol": (
        "此密钥不能（或不再能）调用该模型，或不能以这种方式调用：为这些行换用其他模型或其他协议"
    ),
    "ask the account's owner to activate the service for this model in the console": "请账号所有者在控制台开通该模型的服务",
    "correct model (in the row, the workspace or [defaults]), or have the workspace authorised for it": (
        "修正 model（在行、业务空间或 [defaults] 中），或为该业务空间授权此模型"
    ),
    'set protocol = "dashscope" for this workspace: this model does not answer the OpenAI-compatible way': (
        '为该业务空间设置 protocol = "dashscope"：此模型不支持 OpenAI 兼容方式'
    ),
    "ask the account's owner to pay what is overdue or top up the balance": "请账号所有者结清欠费或充值",
    "ask the account's owner to subscribe to the service for this workspace, or to renew what has run out": (
        "请账号所有者为该业务空间订购服务，或续订已到期的订购"
    ),
    "ask the account's owner to raise the budget set at the provider for this workspace": (
        "请账号所有者提高在服务商处为该业务空间设置的预算"
    ),
    "the free quota of this model is used up: ask the account's owner to switch off 'use free tier only' in the console, or give these "
    "rows another model": "该模型的免费额度已用尽：请账号所有者在控制台关闭“仅使用免费额度”，或为这些行换用其他模型",
    "nothing: the lane slows down and asks again; set rpm and tpm of the quota in the job file if it happens often": (
        "无需处理：会自动降速并重试；若经常发生，请在作业文件中设置配额的 rpm 与 tpm"
    ),
    "nothing: the lane climbs more slowly and asks again": "无需处理：会放慢提速并重试",
    "nothing: it is tried again; if it stays, the provider, which fetches the URLs of the row's media itself, cannot have them in time: "
    "put them where it can, or name local files": (
        "无需处理：会自动重试；若持续如此，则服务商未能及时下载该行的媒体 URL：请将其放到服务商可访问之处，或使用本地文件"
    ),
    "nothing: it is tried again; if long answers are the reason, set stream = true, which gives them longer, or lower max_tokens": (
        "无需处理：会自动重试；若因回答过长，请设置 stream = true（时限更长），或调低 max_tokens"
    ),
    "nothing: it is tried again; if long answers are the reason, set stream = true, which gives them longer, or lower max_tokens; if calls "
    "end so after the same time each, 60 seconds say, that is the limit of a gateway between here and the provider: have whoever runs it "
    "raise it (nginx: proxy_read_timeout)": (
        "无需处理：会自动重试；若因回答过长，请设置 stream = true（时限更长），或调低 max_tokens；"
        "若每次都在相同时长（如 60 秒）后如此，则是本机与服务商之间网关的时限：请其管理者调高（nginx：proxy_read_timeout）"
    ),
    OF_NO_USE: (
        "若回答很长，请设置 stream = true（时限更长）、调低 max_tokens，"
        "或提高截断它们的时限：[timeouts] 中的 idle 与 total，或途中网关的时限（nginx：proxy_read_timeout）；"
        "然后再次运行同一命令：会再次请求该行，次数以 [retry] 的 max_billed 为限；加 --hold-in-doubt 则不再请求"
    ),
    "nothing: it is tried again, and the same command goes on with the rows that are left": (
        "无需处理：会自动重试，同一命令会继续处理剩余的行"
    ),
    "correct endpoint of this workspace, or model: this address does not serve chat calls for it; the provider's endpoints are "
    f"{HOSTS}, and one's own is a URL up to /chat/completions": (
        "修正该业务空间的 endpoint 或 model：此地址不提供该模型的对话调用；"
        f"服务商的 endpoint 有 {HOSTS}，自有服务则填 /chat/completions 之前的 URL"
    ),
    "if this is a web page, a firewall or a gateway between here and the provider has refused the call, maybe for the row's text "
    "(Alibaba Cloud's own web application firewall says 405): ask whoever runs that; else correct endpoint of this workspace, or model: "
    f"this address does not serve chat calls for it; the provider's endpoints are {HOSTS}, and one's own is a URL up to "
    "/chat/completions": (
        "若返回的是网页，则是本机与服务商之间的防火墙或网关拒绝了该调用，可能因该行的文本（阿里云 Web 应用防火墙即返回 405）："
        "请询问其管理者；"
        "否则修正该业务空间的 endpoint 或 model：此地址不提供该模型的对话调用；"
        f"服务商的 endpoint 有 {HOSTS}，自有服务则填 /chat/completions 之前的 URL"
    ),
    "a gateway between here and the provider wants somebody to sign in to the network first: do so from this machine, or ask whoever runs "
    "it": ("本机与服务商之间的网关要求先登录网络：请从本机登录，或询问其管理者"),
    "check the proxy that the job or the environment names, and its credentials": "检查作业或环境变量所指的代理及其凭据",
    "put the URL that really answers into endpoint of this workspace, up to /chat/completions (natively up to /api/v1); if the redirect "
    "leads to a page to sign in at, a gateway between here and the provider answers: ask whoever runs that": (
        "将实际应答的 URL 填入该业务空间的 endpoint，写到 /chat/completions 之前（原生接口写到 /api/v1）；"
        "若重定向到登录页面，则是本机与服务商之间的网关在应答：请询问其管理者"
    ),
    "the rows stay pending; run the same command again then, or with --wait, which goes on by itself": (
        "这些行保持待处理；届时再次运行同一命令，或加 --wait 自动继续"
    ),
}
