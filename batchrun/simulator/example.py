"""A scenario that names every setting there is, to be cut down by whoever needs one."""

EXAMPLE = """\
# A scenario for: batchrun simulate --scenario FILE
# It names every setting; leave out what you do not need. `batchrun schema` says what each means, under SimulatorSettings.

seed = 7
models = ["qwen-plus", "qwen-max", "qwen3.6-plus"]
cloud = "public"                  # "finance" has no multimodal route
price_per_1k_tokens = 0.002       # what an account with a balance pays, whatever the model
journal = 100000
honour_idempotency_key = false
open_keys = false                 # true: any key sk-sim-NAME is the key of a workspace NAME
latency = { median = 0.8, sigma = 0.5, per_token = 0.02 }   # models write 20 to 100 tokens a second

[accounts.main]
balance = 20.0                    # at nothing: 400 Arrearage for marketing and legal alike
free_quota = { qwen-max = 1000000 }
free_tier_only = true             # once they are spent: 403 AllocationQuota.FreeTierOnly
[accounts.main.quotas.qwen-plus]  # shared by marketing and legal
rpm = 600
tpm = 3_000_000
period = 6                        # held to as 60 calls and 300,000 tokens in any 6 seconds
window = "sliding"                # or "aligned" to the clock
debit = "admission"               # or "completion": tokens count when the answer has gone out
per_second = true                 # and no more than 10 calls a second
burst = 2.0                       # no more than twice the calls of the 10 seconds before, or 20
burst_period = 10
burst_floor = 20
[accounts.main.quotas."qwen3.6-plus"]
rpm = 15_000
request_period = 1                # 250 calls a second
tpm = 5_000_000
token_period = 60

[workspaces.marketing]
api_key = "sk-fake-marketing"     # a fake of your own making
account = "main"
[workspaces.marketing.limits]     # beside the account's quotas
qwen-plus = { rpm = 60 }
"*" = { rpm = 300, tpm = 500_000 }  # all its models together

[workspaces.legal]
api_key = "sk-fake-legal"
account = "main"
models = ["qwen-plus"]            # others: 403 Model.AccessDenied
deployments = ["legal-tuned-1"]   # its own tuned model, native route only
in_arrears = false

[workspaces.hr]                   # without an account: one of its own, named hr
api_key = "sk-fake-hr"
wrong_key = true                  # 401 until the change below

[[faults]]                        # each with one of rate, every and first
kind = "throttle"
every = 50
workspace = "marketing"
[[faults]]
kind = "slow"
first = 3
model = "qwen-max"
seconds = 20.0
[[faults]]
kind = "error"
rate = 0.01
code = "InternalError.Algo"
status = 500
message = "inference internal error."
shape = "A"

[[changes]]                       # at so many seconds after the first call
at = 30.0
account = "main"
balance = 100.0                   # a top-up
[[changes]]
at = 45.0
workspace = "legal"
models = ["qwen-plus", "qwen-max"]
[[changes]]
at = 60.0
workspace = "hr"
wrong_key = false
[[changes]]
at = 90.0
account = "main"
[changes.quotas."qwen-plus"]      # the whole quota from then on: half of what it was
rpm = 300
tpm = 1_500_000
period = 6
"""
