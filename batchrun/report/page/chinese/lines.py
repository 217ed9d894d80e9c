"""Why input lines are no rows."""

from __future__ import annotations

from batchrun.core.rows.reasons import ALONE

LINES = {
    "a blank line": "空行",
    "no prompt: give prompt (text) or messages (a list)": "没有提示词：请给出 prompt（文本）或 messages（列表）",
    "both prompt and messages: give one": "同时有 prompt 与 messages：只能给出一个",
    "prompt must be text that is not blank": "prompt 必须是非空白的文本",
    "parameters must be an object": "parameters 必须是对象",
    "method must be POST": "method 必须是 POST",
    "body is missing: a line with custom_id, method or url is in OpenAI Batch form and has a body, an object": (
        "缺少 body：含 custom_id、method 或 url 的行为 OpenAI Batch 形式，须有 body 对象"
    ),
    "no workspace: name one in the line, or one for the whole input in the job": "没有业务空间：请在行中指明，或在作业中为整个输入指明",
    "workspace must be a string: the name of one of the job's workspaces": "workspace 必须是字符串：作业中某个业务空间的名称",
    ALONE: "作业只有业务空间 default：请为各行所指明的每个业务空间加一张表 [workspaces.NAME]，写明其 api_key_env，或更正这些行",
    "no model: name one in the line, or a default in the job": "没有模型：请在行中指明，或在作业中给出默认模型",
    "model must be a non-empty string": "model 必须是非空字符串",
    "the input must be UTF-8: iconv -f GB18030 -t UTF-8 makes it of GBK": "输入必须是 UTF-8：iconv -f GB18030 -t UTF-8 可由 GBK 转换",
    "a byte order mark stands where a file was put behind another: sed 's/^\\xef\\xbb\\xbf//' takes it away": (
        "拼接文件处留有字节顺序标记：sed 's/^\\xef\\xbb\\xbf//' 可将其去除"
    ),
    "a line must be one whole JSON object: jq -c writes one that stands over several lines so, and jq -c '.[]' those of an array; the last "
    "line of a file that is still being written may be half of one: run the same command again once it is whole": (
        "每行必须是一个完整的 JSON 对象：jq -c 可将跨多行的对象写成一行，jq -c '.[]' 可写出数组中的各个对象；"
        "仍在写入的文件，其最后一行可能只有一半：待其完整后再次运行同一命令"
    ),
    "a line must be one whole JSON object; where the last one is half of one, what was piped in had ended too early": (
        "每行必须是一个完整的 JSON 对象；若最后一行只有一半，则管道输入中断过早"
    ),
}

OF_LINES = (
    # Where, and how often.
    (r"(?P<n>[\d,]+) lines, the first (?P<file>.+), line (?P<line>\d+): (?P<said>.+)", "{n} 行，首行为 {file} 第 {line} 行：{said}"),
    (r"(?P<file>.+?), line (?P<line>\d+): (?P<said>.+)", "{file} 第 {line} 行：{said}"),
    (r"(?P<n>[\d,]+) more for other reasons", "另有 {n} 行因其他原因"),
    (r"the job's workspaces are (?P<names>.+) and (?P<n>[\d,]+) more", "作业的业务空间有 {names} 等，另有 {n} 个"),
    (r"the job's workspaces are (?P<names>.+)", "作业的业务空间有 {names}"),
    (r"a table with headings \(CSV\) is made JSON lines by: (?P<command>.+)", "带表头的表格（CSV）可由以下命令转换为 JSON 行：{command}"),
    (r"instructions \(Alpaca\) are made rows by: (?P<command>.+)", "指令数据（Alpaca）可由以下命令转换为输入行：{command}"),
    (
        r"NaN and Infinity, which pandas' to_json writes as null and json\.dumps does not, are made null by: (?P<command>.+)",
        "NaN 与 Infinity（pandas 的 to_json 会写成 null，json.dumps 则不会）可由以下命令改为 null：{command}",
    ),
    (r"columns of your own are put into metadata by: (?P<command>.+)", "自定义的列可由以下命令移入 metadata：{command}"),
    (
        r"conversations \(ShareGPT\) are made rows, each asked for its last answer anew, by: (?P<command>.+)",
        "对话数据（ShareGPT）可由以下命令转换为输入行（各行重新请求最后一个回答）：{command}",
    ),
    # Its text.
    (r"not UTF-8: a wrong byte at position (?P<at>\d+)", "不是 UTF-8：第 {at} 字节有误"),
    (r"not JSON: NUL bytes, the first at position (?P<at>\d+)", "不是 JSON：含 NUL 字节，首个在第 {at} 字节"),
    (
        r"not JSON: (?P<why>.+) at column (?P<column>\d+), where (?P<found>.) stands: JSON wants plain .+, as a plain keyboard writes them",
        '不是 JSON（第 {column} 列：{why}）：该处为 {found}；JSON 须用半角的 " : , {{ }} [ ]',
    ),
    (
        r"not JSON: (?P<why>.+) at column (?P<column>\d+), where ' stands: JSON wants \", as json.dumps writes it and str does not",
        "不是 JSON（第 {column} 列：{why}）：该处为 '；JSON 须用 \"，如 json.dumps 所写（str 不是）",
    ),
    (
        r"not JSON: (?P<why>.+) at column (?P<column>\d+), where (?P<found>\w+) stands: JSON has no such word, and wants (?P<right>\w+)",
        "不是 JSON（第 {column} 列：{why}）：该处为 {found}；JSON 没有这个词，应写 {right}",
    ),
    (
        r"not JSON: (?P<why>.+) at column (?P<column>\d+); the line holds carriage returns: lines must end in LF or CRLF",
        "不是 JSON（第 {column} 列：{why}）；该行含回车符：行须以 LF 或 CRLF 结尾",
    ),
    (
        r"not JSON: (?P<why>.+) at column (?P<column>\d+), behind text in quotes: a row is an object, in { }",
        "不是 JSON（第 {column} 列：{why}）：位于引号内的文本之后；每行应为 {{ }} 中的对象",
    ),
    (r"not JSON: (?P<why>.+) at column (?P<column>\d+)", "不是 JSON（第 {column} 列：{why}）"),
    (r"(?:an array|a string|a number|true or false|null): a line must be one JSON object", "每行必须是一个 JSON 对象"),
    (r"nested deeper than (?P<n>\d+) levels", "嵌套超过 {n} 层"),
    (r"(?P<name>.+) has an integer of more than 64 bits: write it as text", "{name} 中有超过 64 位的整数：请写成文本"),
    (r"more than (?P<n>[\d,]+) values", "含 {n} 个以上的值"),
    (r"its values would take more than (?P<n>\d+) MiB of memory", "其值会占用 {n} MiB 以上的内存"),
    (r"a line of (?P<n>[\d,]+) bytes: at most (?P<most>[\d,]+) may be", "该行有 {n} 字节：最多 {most} 字节"),
    (
        r"(?P<name>.+?) stands twice(?: in (?P<field>.+))?, at columns (?P<first>\d+) and (?P<second>\d+): which of them .+",
        "{name} 出现两次（第 {first} 列与第 {second} 列{field}）：无法判断以哪个为准",
    ),
    # Its fields.
    (
        r"unknown field (?P<name>.+); what is set for the model goes into (?P<where>\"\w+\")",
        "未知字段 {name}；模型参数应放在 {where} 中",
    ),
    (
        r"unknown field (?P<name>.+); a system prompt is the first of messages: (?P<message>.+)",
        "未知字段 {name}；系统提示应是 messages 中的第一条：{message}",
    ),
    (
        r"unknown field (?P<name>.+); what DashScope's calls have in it, messages or a prompt, stands in the line itself",
        "未知字段 {name}；DashScope 调用中该字段所含的 messages 或 prompt 应直接写在行内",
    ),
    (
        r"unknown field (?P<name>.+); beside a body, custom_id names the row, and all that is asked stands in the body",
        "未知字段 {name}；与 body 并列时，以 custom_id 标识该行，其余请求内容均放在 body 中",
    ),
    (
        r'unknown field (?P<name>.+?)(?: \(nearest: (?P<near>\w+)\))?(?:; what is asked .+)?; fields of your own go into "metadata"',
        "未知字段 {name}；自定义字段应放在 metadata 中",
    ),
    (
        r"(?P<field>\w+) must be a non-empty string or an integer; leave it out and one is made",
        "{field} 必须是非空字符串或整数；可省略，将自动生成",
    ),
    (
        r"(?P<field>\w+) must be a non-empty string or an integer, and has a point: pandas makes integers of a column by (?P<way>.+)",
        "{field} 必须是非空字符串或整数，不得带小数点：pandas 中用 {way} 将该列转为整数",
    ),
    (r"(?P<field>\w+) has (?P<n>\d+) characters: at most (?P<most>\d+) may be", "{field} 有 {n} 个字符：最多 {most} 个"),
    (r"(?P<field>\w+) holds a control character", "{field} 含控制字符"),
    (r"id (?P<id>.+) stands already at (?P<file>.+) line (?P<line>\d+)", "id {id} 已出现在 {file} 第 {line} 行"),
    (r"url must be (?P<url>\S+): where that is, the job's endpoint says", "url 必须是 {url}：其所在由任务的 endpoint 指定"),
    (r"url must be (?P<url>\S+): batchrun asks chat models only", "url 必须是 {url}：batchrun 只调用对话模型"),
    (r"(?P<field>[\w.]+) must be a non-empty list", "{field} 必须是非空列表"),
    (r"(?P<field>[\w.]+\[\d+\]) must be an object with role and content", "{field} 必须是含 role 与 content 的对象"),
    (r"(?P<field>[\w.]+\[\d+\]\.role) must be one of (?P<names>.+)", "{field} 必须是 {names} 之一"),
    (
        r"(?P<field>[\w.]+\[\d+\]\.content) must be text or a non-empty list of parts; only an assistant with tool_calls may go without",
        "{field} 必须是文本或非空的内容列表；只有含 tool_calls 的 assistant 可以没有",
    ),
    (r"parameters must not hold (?P<name>\w+): it stands beside them", "parameters 中不得有 {name}：它应与 parameters 并列"),
    (r"(?P<field>[\w.]+) must be true or false", "{field} 必须是 true 或 false"),
    (
        r"workspace (?P<name>.+) is not one of the job's \(nearest: (?P<near>.+?)(?:, the same letters written another way)?\)",
        "作业中没有业务空间 {name}（最接近的是 {near}）",
    ),
    (r"workspace (?P<name>.+) is not one of the job's", "作业中没有业务空间 {name}"),
    (
        r"model must be at most (?P<n>\d+) characters, none of them a control character",
        "model 最多 {n} 个字符，且不得含控制字符",
    ),
)
