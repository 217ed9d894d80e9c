"""How fast: what bounds the attempts of a lane, a workspace or a pool; told the time, and what came of each attempt.

In the order in which to read it:

    quota.py            a quota as the job says it, made a limiter
    limiter.py          joins: may the next attempt go, and what does a refusal lead to
    refusals.py         what a refusal is about, by its code
    strikes.py          how many refusals it takes to pause
    episodes.py         the pause, and the attempt that ends it
    asked.py            a pause that the provider asks for, and how much of it is believed
    ramp.py             how fast the number of attempts may grow
    pace.py             one rate: a known quota kept to, or one that is found
    buckets.py          what pays for attempts, and counts of what went
    use.py              what is sent and answered: whether a rate is used
    climb.py            a rate that was found is held, and climbs
    noise.py            refusals that are no rate's doing
    windows.py          which window was full, and what it held
    margin.py           how far under a known quota
    rules.py            what is asked of the rule for each kind of quota
    attempts.py         the rule for attempts
    tokens.py           the rules for tokens
    found.py            what a refusal says of a token quota that is to be found
    reckoning.py        what is believed to be in a window of tokens, and what refusals teach; joins the next seven
    room.py             when the next row finds room in the window; joins the last five of the twelve
    counting.py         over which window, and when, the provider counts
    deviations.py       how much is kept free for guesses that are off
    witness.py          what refusals show of how it counts
    unexplained.py      and at once of a shorter window, or of somebody else who uses a known quota
    fuller.py           what they show of a shorter window, and of answers, where the quota is to be found
    trials.py           when a longer window is tried
    ceilings.py         what was refused is not sent again at once
    under_way.py        what is expected of rows under way
    tape.py             what went, entry by entry
    guesses.py          how far expectations are off
    lifetimes.py        what the time that a row has been under way tells of its cost
    estimates.py        what a row is expected to cost
    priors.py           how long answers are before any was seen
    at_once.py          how many calls a provider takes at once, by what it refuses for want of capacity
    slots.py            how many attempts of a lane may be under way at once
    answer_pace.py      how quick answers come, and by how much that may be chance
"""
