"""Columns of files of products, orders, refunds and behaviour, with the words by which they are found."""

from django.utils.translation import gettext_lazy

from contacts.models import BehaviourKind
from datafiles.targets import Target
from tenants.models import Brand

WHO, WHAT, LINE = gettext_lazy("Who bought"), gettext_lazy("The order"), gettext_lazy("Products of the order")
BUYER = [
    Target("member_no", gettext_lazy("Member number"), "id",
           ("会员号", "会员编号", "会员卡号", "会员id", "卡号", "memberno", "memberid", "customerid", "用户id", "客户编号",
            "客户id", "买家id", "userid"), WHO, 64),
    Target("phone", gettext_lazy("Phone"), "phone",
           ("手机号", "手机", "手机号码", "买家手机", "收货人手机", "联系电话", "电话", "phone", "mobile", "tel"), WHO, 40),
    Target("unionid", "unionid", "id", ("unionid", "微信unionid"), WHO, 64),
    Target("external_userid", "external_userid", "id", ("externaluserid", "外部联系人id"), WHO, 64),
]  # fmt: skip
STATES = {
    "待付款": 1, "未付款": 1, "待支付": 1, "unpaid": 1, "已付款": 2, "已支付": 2, "待发货": 2, "paid": 2, "支付成功": 2,
    "已发货": 3, "待收货": 3, "shipped": 3, "已完成": 4, "交易成功": 4, "已签收": 4, "done": 4, "completed": 4, "finished": 4,
    "已关闭": 5, "交易关闭": 5, "已取消": 5, "closed": 5, "cancelled": 5, "canceled": 5,
}  # fmt: skip
BUY = {"buy": "buy", "购买": "buy", "下单": "buy", "purchase": "buy", "支付": "buy"}
BEHAVIOURS = {
    "pv": "view", "view": "view", "浏览": "view", "查看": "view", "点击": "view", "click": "view",
    "fav": "favourite", "favourite": "favourite", "favorite": "favourite", "收藏": "favourite",
    "cart": "cart", "加购": "cart", "加购物车": "cart", "加入购物车": "cart", "addtocart": "cart", "add_to_cart": "cart",
    "checkout": "checkout", "结算": "checkout", "提交订单": "checkout", "search": "search", "搜索": "search",
    "coupon_used": "coupon_used", "用券": "coupon_used", "核销": "coupon_used", "使用优惠券": "coupon_used",
    "优惠券核销": "coupon_used", "redeem": "coupon_used", "word_said": "word_said", "发言": "word_said", "聊天": "word_said",
}  # fmt: skip
# columns that tell more of a behaviour → where they stand in the event's data
SAID = {
    "product": "product", "query": "query", "page": "page", "coupon": "title", "coupon_code": "code", "said": "word",
}  # fmt: skip
ORDER = [
    Target("order_no", gettext_lazy("Order number"), "id",
           ("订单号", "订单编号", "订单id", "orderno", "orderid", "ordernumber", "主订单编号"), WHAT, 64),
    Target("paid_at", gettext_lazy("Paid at"), "moment",
           ("支付时间", "付款时间", "订单付款时间", "paidat", "paytime", "payat", "date", "日期", "时间戳", "交易时间",
            "消费时间", "timestamp", "time"), WHAT),
    Target("placed_at", gettext_lazy("Ordered at"), "moment",
           ("下单时间", "订单创建时间", "创建时间", "orderedat", "createdat", "订单时间"), WHAT),
    Target("amount_fen", gettext_lazy("Amount"), "money",
           ("实付金额", "订单金额", "实付", "支付金额", "买家实际支付金额", "金额", "消费金额", "amount", "total", "paid",
            "dollarvalue", "售价", "总金额"), WHAT),
    Target("state", gettext_lazy("State"), "code",
           ("订单状态", "状态", "state", "status", "orderstatus"), WHAT, choices=STATES),
    Target("n_items", gettext_lazy("Number of items"), "integer",
           ("件数", "商品件数", "总件数", "宝贝总数量", "nitems", "items", "numberofcds"), WHAT),
    Target("staff_userid", gettext_lazy("Guide (userid)"), "id",
           ("导购", "导购id", "导购账号", "员工id", "staff", "guide"), WHAT, 64),
    Target("store_code", gettext_lazy("Store (number or name)"), "text",
           ("门店", "门店编码", "门店编号", "店铺", "store", "storecode"),
           WHAT, 60),
    Target("channel", gettext_lazy("Channel"), "text", ("渠道", "销售渠道", "来源渠道", "channel"), WHAT, 30),
    Target("row_kind", gettext_lazy("Kind of row"), "choice",
           ("行为类型", "behaviour", "behavior", "behaviortype", "行为"), WHAT,
           choices=BUY, hint=gettext_lazy("Only purchases are read; other rows are passed over")),
    Target("sku", gettext_lazy("Product number"), "id",
           ("商品编号", "商品编码", "商品id", "货号", "sku", "productid", "商家编码", "itemid"), LINE, 64),
    Target("product", gettext_lazy("Product name"), "text",
           ("商品名称", "商品", "品名", "宝贝标题", "product", "productname", "title"),
           LINE, 200),
    Target("quantity", gettext_lazy("Quantity"), "integer", ("数量", "购买数量", "quantity", "qty", "count"), LINE),
    Target("line_fen", gettext_lazy("Amount of the line"), "money",
           ("商品金额", "小计", "商品实付", "明细金额", "lineamount", "subtotal"), LINE),
]  # fmt: skip


def order_targets(brand: Brand) -> list[Target]:
    return [*ORDER[:1], *BUYER, *ORDER[1:]]


def product_targets(brand: Brand) -> list[Target]:
    words = gettext_lazy("The product")
    return [
        Target("sku", gettext_lazy("Product number"), "id",
               ("商品编号", "商品编码", "商品id", "货号", "sku", "productid", "商家编码"), words, 64, is_required=True),
        Target("name", gettext_lazy("Name"), "text",
               ("商品名称", "名称", "品名", "商品", "name", "productname", "title"), words, 200),
        Target("category", gettext_lazy("Category"), "text",
               ("类目", "分类", "商品类别", "商品分类", "品类", "category"), words, 60),
        Target("price_fen", gettext_lazy("Price"), "money", ("价格", "售价", "单价", "零售价", "吊牌价", "price"), words),
        Target("usage_days", gettext_lazy("Lasts for days"), "integer",
               ("使用天数", "可用天数", "使用周期", "usagedays"), words),
        Target("is_active", gettext_lazy("On sale"), "bool", ("在售", "是否在售", "上架", "状态", "active"), words),
    ]  # fmt: skip


def refund_targets(brand: Brand) -> list[Target]:
    words = gettext_lazy("The refund")
    return [
        Target("refund_no", gettext_lazy("Refund number"), "id",
               ("退款编号", "退款单号", "退款号", "refundno", "refundid"), words, 64),
        Target("order_no", gettext_lazy("Order number"), "id",
               ("订单号", "订单编号", "订单id", "orderno", "orderid"), words, 64,
               is_required=True),
        Target("amount_fen", gettext_lazy("Amount"), "money",
               ("退款金额", "金额", "实退金额", "amount", "refundamount"), words,
               is_required=True),
        Target("refunded_at", gettext_lazy("Refunded at"), "moment",
               ("退款时间", "退款完成时间", "退款日期", "refundedat", "日期"), words),
        Target("reason", gettext_lazy("Reason"), "text", ("退款原因", "原因", "reason"), words, 200),
        Target("is_cancelled", gettext_lazy("Taken back"), "bool", ("是否撤销", "已撤销", "cancelled"), words),
    ]  # fmt: skip


def behaviour_targets(brand: Brand) -> list[Target]:
    words = gettext_lazy("What happened")
    own = {kind.label.lower(): kind.key for kind in BehaviourKind.objects.filter(archived_at=None)}
    own |= {key.lower(): key for key in own.values()}
    return [
        *BUYER,
        Target("kind", gettext_lazy("Kind of behaviour"), "choice",
               ("行为类型", "行为", "事件", "behaviour", "behavior", "behaviortype", "event", "action"), words,
               choices={**BUY, **BEHAVIOURS, **own}, is_required=True,
               hint=gettext_lazy("Purchases are passed over: import them as orders")),
        Target("at", gettext_lazy("When"), "moment",
               ("时间戳", "时间", "发生时间", "行为时间", "timestamp", "time", "at", "eventtime"),
               words, is_required=True),
        Target("sku", gettext_lazy("Product number"), "id",
               ("商品编号", "商品编码", "商品id", "sku", "productid", "itemid"), words, 64),
        Target("product", gettext_lazy("Product name"), "text", ("商品名称", "商品", "product", "productname"), words, 200),
        Target("query", gettext_lazy("Search words"), "text", ("搜索词", "关键词", "query", "keyword"), words, 100),
        Target("page", gettext_lazy("Page"), "text", ("页面", "页面路径", "page", "url"), words, 300),
        Target("coupon", gettext_lazy("Coupon"), "text", ("优惠券", "优惠券名称", "券名称", "coupon", "couponname"), words, 100),
        Target("coupon_code", gettext_lazy("Coupon number"), "id", ("券码", "优惠券码", "couponcode"), words, 64),
        Target("said", gettext_lazy("What was said"), "text", ("发言内容", "消息内容", "said", "message"), words, 500),
        Target("amount_fen", gettext_lazy("Amount"), "money", ("金额", "售价", "价格", "amount", "price"), words),
    ]  # fmt: skip
