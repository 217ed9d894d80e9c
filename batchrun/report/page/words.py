"""What the page says, in English and Chinese. A key stands for a sentence; what is in braces is put in.

``{n:row is|rows are}`` says the first where *n* is 1 and the second elsewhere; the page's script reads braces in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import orjson

from batchrun.report.page.languages import LANGUAGES, Language
from batchrun.report.page.markup import Markup, h

_SAID: dict[str, tuple[str, str]] = {
    # The head.
    "kicker": ("batchrun report", "batchrun 报告"),
    "of_workspace": ("Workspace {workspace}", "业务空间 {workspace}"),
    "of_runs": ("{n} runs", "{n} 次运行"),
    "run": ("Run", "运行"),
    "period": ("{begin} to {end}", "{begin} 至 {end}"),
    "zone": ("Times in {zone}", "时间按 {zone}"),
    "made": ("Made {at}", "生成于 {at}"),
    "language": ("中文", "English"),
    "language_label": ("以中文显示本页", "Show this page in English"),
    "dark": ("Dark", "深色"),
    "light": ("Light", "浅色"),
    "contents": ("Contents", "目录"),
    # The verdict.
    "all_done": ("Done: every row is answered.", "已完成：所有行均已得到回答。"),
    "all_done_but_lines": (
        "Every row is answered; {n} {n:line|lines} of the input {n:is|are} no row.", "所有行均已得到回答；另有 {n} 行输入不是有效行。",
    ),
    "finished_with_failures": (
        "Finished: {n} {n:row|rows} could not be answered.", "已结束：{n} 行未能得到回答。",
    ),
    "not_done": ("Not done: {n} {n:row is|rows are} still waiting.", "未完成：还有 {n} 行在等待。"),
    "not_done_parked": (
        "Not done: {n} {n:row is|rows are} still waiting, and something needs a person.",
        "未完成：还有 {n} 行在等待，且有事项需要人工处理。",
    ),
    "nothing_to_do": ("There was nothing to do.", "没有需要处理的行。"),
    # The four questions.
    "spent": ("Spent", "花费"),
    "spent_by": ("By whom", "由谁花费"),
    "done": ("Done", "完成"),
    "trouble": ("Trouble", "问题"),
    "unknown": ("unknown", "未知"),
    "tokens_in_out": ("{input} input and {output} output {output:token|tokens}", "输入 {input}、输出 {output} Token"),
    "unpriced": ("without {n} {n:call|calls} whose price is not known", "不含 {n} 次价格未知的调用"),
    "searches": ("without what {n} web {n:search|searches} cost beside tokens", "不含 {n} 次联网搜索除 Token 外的费用"),
    "all_unpriced": ("the price of no call is known", "所有调用的价格均未知"),
    "of_rows": ("{answered} of {n} {n:row|rows}", "已回答 {answered} 行，共 {n} 行"),
    "rows_failed": ("{n:row|rows} failed", "行失败"),
    "calls_in_doubt": ("{n:call|calls} in doubt", "次调用存疑"),
    "calls_in_flight": ("{n:call|calls} in flight", "次调用进行中"),
    "retries_throttles": (
        "{retries} {retries:retry|retries}, {throttles} throttled {throttles:call|calls}",
        "重试 {retries} 次，限流 {throttles} 次",
    ),
    "and_more": ("and {n} more", "另有 {n} 个"),
    # Who spent what.
    "who": ("Who spent what", "谁花了多少"),
    "who_lead": (
        "Cost by workspace; the bar shows which models it went to.", "各业务空间的费用；色条显示各模型所占部分。",
    ),
    "who_lead_tokens": (
        "Tokens by workspace, for their cost is not known; the bar shows which models they went to.",
        "费用未知，故按 Token 数显示各业务空间；色条显示各模型所占部分。",
    ),
    "workspace": ("Workspace", "业务空间"),
    "model": ("Model", "模型"),
    "share": ("Share", "占比"),
    "cost_in": ("Cost, {currency}", "费用（{currency}）"),
    "cost": ("Cost", "费用"),
    "input": ("Input tokens", "输入 Token"),
    "output": ("Output tokens", "输出 Token"),
    "cached": ("of it cached", "其中缓存命中"),
    "reasoning": ("of it reasoning", "其中思考"),
    "calls": ("Calls", "调用次数"),
    "answered": ("Answered", "已回答"),
    "rejected": ("Rejected", "被拒绝"),
    "exhausted": ("Exhausted", "重试用尽"),
    "pending": ("Pending", "待处理"),
    "retries": ("Retries", "重试"),
    "throttles": ("Throttled", "限流"),
    "in_doubt": ("In doubt", "存疑"),
    "total": ("Total", "合计"),
    "rest": ("{n} more", "其余 {n} 个"),
    "other_models": ("other models", "其他模型"),
    "others": ("others", "其他"),
    "lanes": ("Every workspace and model", "各业务空间与模型明细"),
    "by_lane": ("By workspace and model", "按业务空间与模型"),
    "find": ("Find", "查找"),
    "sort_hint": ("Press a column's head to sort.", "点击列标题可排序。"),
    "plus_hint": (
        "A plus sign marks a sum that leaves out calls whose price is not known. Prices can be given in the job file, under [prices].",
        "带加号的合计不含价格未知的调用。可在作业文件的 [prices] 中给出价格。",
    ),
    # On what.
    "what": ("On what", "花在哪里"),
    "what_lead": ("Cost and tokens by model.", "各模型的费用与 Token。"),
    "per_thousand": ("Per 1,000 answers", "每千次回答"),
    "by_day": ("By day", "按日"),
    "day": ("Day", "日期"),
    "by_metadata": ("By {key}", "按 {key}"),
    "no_value": ("none given", "未给出"),
    "not_told": ("not told by the ledger", "账本未记录"),
    # Is it done.
    "is_done": ("Is it done", "是否完成"),
    "done_lead": ("{answered} of {rows} {rows:row is|rows are} answered.", "{rows} 行中已回答 {answered} 行。"),
    "progress": ("Progress", "进度"),
    "more_unfinished": ("{n} more {n:workspace|workspaces} without all answers", "另外 {n} 个未全部回答的业务空间"),
    "others_done": ("{n} other {n:workspace has|workspaces have} all answers.", "其余 {n} 个业务空间已全部回答。"),
    "parked": ("Parked until a person acts", "已暂停，等待人工处理"),
    "closed": ("Closed until their hours begin", "等待开放时段"),
    "budget_shared": (
        "A budget by the day or the month is shared with other runs: how much of it is left is not told here, but what this run spent.",
        "按日或按月的预算由多次运行共用：此处只列本次运行的花费，不显示余额。",
    ),
    "per_day": ("a day", "每日"),
    "per_month": ("a month", "每月"),
    "parked_workspace": ("workspace", "业务空间"),
    "parked_account": ("account", "账号"),
    "parked_lane": ("workspace and model", "业务空间与模型"),
    "rows_wait": ("{n} {n:row waits|rows wait}", "{n} 行在等待"),
    "stopped_by": ("The run was stopped by {signal}.", "运行被 {signal} 停止。"),
    "under_way": ("The run was under way, or was killed, when this page was made.", "生成本页时运行仍在进行，或已被终止。"),
    "go_on": ("The same command goes on with what is left: {command}", "用同一命令继续处理剩余部分：{command}"),
    "set_aside": (
        "{n} input {n:line was|lines were} no row: rejected-input.jsonl says which, and why.",
        "{n} 行输入不是有效的行：见 rejected-input.jsonl。",
    ),
    "budgets": ("Budgets", "预算"),
    "budget": ("Budget", "预算"),
    "of_job": ("the whole job", "整个作业"),
    "used": ("Spent", "已用"),
    "limit": ("Limit", "上限"),
    "all_models": ("all models", "所有模型"),
    # What went wrong.
    "wrong": ("What went wrong", "出了什么问题"),
    "nothing_wrong": ("Nothing: every call brought its answer.", "没有问题：每次调用都得到了回答。"),
    "no_row_failed": ("No row failed.", "没有失败的行。"),
    "reasons": ("Why rows failed", "行失败的原因"),
    "reason": ("Reason", "原因"),
    "rows": ("Rows", "行数"),
    "advice": ("What to do", "处理建议"),
    "where": ("Where", "所在业务空间"),
    "more_reasons": ("{n} more {n:reason|reasons}", "另外 {n} 种原因"),
    "way": ("What slowed calls down", "哪些情况拖慢了调用"),
    "way_lead": ("Calls that brought nothing; their rows were asked again.", "没有得到结果的调用；相应的行已重新请求。"),
    "verdict": ("What happened", "结果"),
    "verdict_throttled": ("throttled", "限流"),
    "verdict_again": ("failed, tried again", "失败后重试"),
    "verdict_parked": ("parked", "暂停"),
    "in_flight": ("In flight", "进行中"),
    "flight_lead": (
        ("{n} {n:call was|calls were} under way when this page was made, and will be billed beyond this: "
        "{input} input and {output} output {output:token|tokens} at the most{money}."),
        "生成本页时有 {n} 次调用正在进行，将在此之外计费：最多输入 {input}、输出 {output} Token{money}。",
    ),
    "doubt": ("In doubt", "存疑"),
    "doubt_lead": (
        ("{n} {n:call|calls} may have been billed and left no usage: {n:it was|they were} cut off after {n:it was|they were} sent. "
        "The bill may be higher than this page by {input} input and {output} output {output:token|tokens} at the most{money}."),
        "{n} 次调用可能已计费但没有用量记录：发出后被中断。账单最多可能比本页多出输入 {input}、输出 {output} Token{money}。",
    ),
    "doubt_money": (", or {amount}", "，即 {amount}"),
    "doubt_money_more": (
        ", or {amount} and what {n} {n:call without a price costs|calls without a price cost}",
        "，即 {amount}，另加 {n} 次无价格调用的费用",
    ),
    "nothing": ("", ""),
    "no_doubt": ("No call is in doubt: the provider's bill should be what stands here.", "没有存疑的调用：服务商账单应与本页一致。"),
    "waste": ("Paid for, and little or nothing came of it", "已付费但收效甚微"),
    "waste_retried": ("billed, and made again", "已计费后又重试"),
    "waste_reasked": ("answers that did not fit, asked again", "回答不合要求，重新提问"),
    "waste_refused": ("billed, and the row failed", "已计费但该行失败"),
    "waste_truncated": ("answers cut at their longest", "回答因长度上限被截断"),
    "savings": ("Saved", "节省"),
    "saved_cache": ("by the provider's cache", "服务商缓存"),
    "saved_batch": ("by the batch price", "批量价"),
    "saved_discount": ("by discounts", "折扣"),
    "kind": ("Kind", "类别"),
    "unreadable": (
        "{n} {n:line|lines} of attempts.log could not be read: calls and doubt may be higher by as many.",
        "attempts.log 中有 {n} 行无法读取：调用与存疑可能再多出同样数目。",
    ),
    "again": (
        "attempts.log was put together of parts that overlap: calls, retries and doubt are too high.",
        "attempts.log 由有重叠的部分拼成：调用、重试与存疑被重复计算，数值偏高。",
    ),
    # How it went.
    "how": ("How it went", "运行过程"),
    "no_script": ("The plots need JavaScript; all tables stand here without it.", "图表需要 JavaScript；所有表格不受影响。"),
    "plot_tokens": ("Tokens over time", "Token 随时间变化"),
    "plot_tokens_y": ("tokens a minute", "Token/分钟"),
    "plot_tokens_note": (
        "Input and output tokens, counted when their call began.", "输入与输出 Token，按调用开始的时刻计。",
    ),
    "plot_trouble": ("Throttles and retries over time", "限流与重试随时间变化"),
    "plot_trouble_y": ("calls", "次"),
    "plot_trouble_note": ("Calls that came back without an answer, in each {width}.", "每{width}内未得到回答的调用。"),
    "plot_latency": ("How long answers took", "回答耗时"),
    "plot_first": ("Time to the first token", "首 Token 时间"),
    "plot_share_y": ("share of answers", "占回答的比例"),
    "plot_latency_note": (
        "From the request to the last byte, of the call that was answered; quantiles are within 5 %.",
        "从请求到最后一个字节，只计得到回答的那次调用；分位数误差在 5% 以内。",
    ),
    "plot_first_note": (
        "Of streamed answers; quantiles are within 5 %.", "流式回答；分位数误差在 5% 以内。",
    ),
    "plot_quota": ("Use of known quotas", "已知配额的使用"),
    "plot_quota_y": ("share of the quota", "占配额的比例"),
    "plot_quota_note": (
        "Calls and tokens that were sent in each {width}, as a share of the quotas that the job names.",
        "每{width}内发出的调用与 Token 占作业所列配额的比例。",
    ),
    "plot_keys": (
        "Left and right arrow keys read the plot's values.", "用左右方向键读取图中数值。",
    ),
    "data_table": ("These numbers as a table", "以表格显示数据"),
    "time": ("Time", "时间"),
    "duration": ("Duration", "耗时"),
    "up_to": ("up to", "不超过"),
    "median": ("Median", "中位数"),
    "answers": ("Answers", "回答数"),
    "longest": ("Longest", "最长"),
    "quota": ("Quota", "配额"),
    "quota_rpm": ("requests a minute", "请求数/分钟"),
    "quota_tpm": ("tokens a minute", "Token/分钟"),
    "busiest": ("Busiest {width}", "最忙的{width}"),
    "mean": ("Mean", "平均"),
    "on_average": ("while calls were made", "有调用时的平均"),
    "own_part": ("own part of the account's", "占账号配额的自身部分"),
    "untimed": (
        "{n} {n:call tells|calls tell} no time, or one that cannot be right, and {n:is|are} in no plot.",
        "{n} 次调用没有时间或时间有误，未计入图中。",
    ),
    # The foot.
    "about": ("About this page", "关于本页"),
    "about_ledger": (
        ("Everything here was made from the run's ledger, and can be made again at will. Tokens are those the provider reported with each "
        "answer; costs are these tokens at the prices of their day, exact, and rounded only here."),
        "本页全部由运行的账本生成，可随时重新生成。Token 为服务商随每次回答报告的数值；费用按当日价格计算，精确无误，仅在此处四舍五入。",
    ),
    "about_offline": (
        "The page asks nothing of the network, and nothing leaves it.", "本页不访问网络，也不会发送任何内容。",
    ),
    "about_own": (
        "It holds one workspace's part alone.", "本页只含一个业务空间的内容。",
    ),
    "unit_seconds": ("{n} s", "{n} 秒"),
    "unit_minutes": ("{n} min", "{n} 分钟"),
    "unit_hours": ("{n} h", "{n} 小时"),
    "unit_days": ("{n} d", "{n} 天"),
    "width_second": ("second", "一秒"),
    "width_seconds": ("{n} seconds", " {n} 秒"),
    "width_minute": ("minute", "一分钟"),
    "width_minutes": ("{n} minutes", " {n} 分钟"),
    "width_hour": ("hour", "一小时"),
    "width_hours": ("{n} hours", " {n} 小时"),
    "width_day": ("day", "一天"),
    "width_days": ("{n} days", " {n} 天"),
}  # fmt: skip
_PUT_IN = re.compile(r"\{(?P<name>\w+)(?::(?P<one>[^|{}]*)\|(?P<many>[^|{}]*))?\}")


class Said(NamedTuple):
    """A sentence that is put into another one."""

    key: str
    put_in: Mapping[str, str]


class Words:
    """Says things in one language so that the page's own switch can say them in the other."""

    def __init__(self, language: Language) -> None:
        self.language: Language = language
        self._place = LANGUAGES.index(language)

    def plain(self, key: str, /, **put_in: str | Said) -> str:
        """Give a sentence as text."""

        def said(found: re.Match[str]) -> str:
            each = put_in[found["name"]]
            if found["one"] is not None:
                return found["one"] if each == "1" else found["many"]
            return self.plain(each.key, **each.put_in) if isinstance(each, Said) else each

        return _PUT_IN.sub(said, _SAID[key][self._place])

    def say(self, key: str, /, **put_in: str | Said) -> Markup:
        """Give a sentence as an element that the switch can change; what is put in is text, whatever it looks like."""
        # A tuple is an array there: the script takes one for a sentence.
        told = orjson.dumps(put_in, default=tuple).decode() if put_in else None
        return h("span", self.plain(key, **put_in), data_t=key, data_a=told)


def all_words() -> dict[str, dict[str, str]]:
    """Give every sentence, by language and key."""
    return {language: {key: said[place] for key, said in _SAID.items()} for place, language in enumerate(LANGUAGES)}
