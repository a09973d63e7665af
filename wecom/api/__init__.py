"""WeCom's calls, one module per topic: plain functions that take a `wecom.client.WeComClient` first.

They check WeCom's documented limits before the call (`InvalidMessage`) and say in their docstring which page
of developer.work.weixin.qq.com/document/path/ they come from. What they raise is in wecom/errors.py. Answers
are TypedDicts with WeCom's own names, and every field may be missing.
"""
