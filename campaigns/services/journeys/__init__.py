"""People on their way through graphs of SOPs.

entering: how they come in · walking: the due ones are moved on, in sets · nodes: what each kind of node does ·
leaving: how they go · reacting: what happens wakes them, brings them in and takes them out · flows: how many came by ·
moving: into another version · rehearsing: the same over the past, with a clock of its own.
"""
