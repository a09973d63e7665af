
import django.db.models.deletion
import scrm.clock
import tenants.fields
import tenants.scoping
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('contacts', '0003_profile'),
        ('org', '0001_initial'),
        ('tenants', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Order',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('source', models.CharField(max_length=20)),
                ('order_no', models.CharField(max_length=64, verbose_name='Order number')),
                ('buyer_kind', models.CharField(blank=True, choices=[('unionid', 'unionid'), ('external_userid', 'external_userid'), ('openid', 'openid'), ('phone', 'Phone'), ('member_no', 'Member number')], max_length=16)),
                ('buyer_scope', models.CharField(blank=True, max_length=64)),
                ('buyer_value', models.CharField(blank=True, max_length=64)),
                ('placed_at', models.DateTimeField(verbose_name='Ordered')),
                ('paid_at', models.DateTimeField(null=True, verbose_name='Paid')),
                ('amount_fen', models.BigIntegerField(verbose_name='Amount')),
                ('refunded_fen', models.BigIntegerField(default=0, verbose_name='Refunded')),
                ('n_items', models.IntegerField(default=0)),
                ('state', models.SmallIntegerField(choices=[(1, 'Not paid'), (2, 'Paid'), (3, 'Shipped'), (4, 'Done'), (5, 'Closed')], verbose_name='State')),
                ('is_sale', models.BooleanField(default=False)),
                ('channel', models.CharField(blank=True, max_length=30, verbose_name='Channel')),
                ('is_told', models.BooleanField(default=False)),
                ('updated_at', models.DateTimeField()),
                ('created_at', models.DateTimeField(default=scrm.clock.now)),
                ('brand', tenants.fields.BrandField(db_index=False, default=tenants.scoping.current_brand_id, editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tenants.brand')),
                ('contact', tenants.fields.BrandForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='contacts.contact')),
                ('staff', tenants.fields.BrandForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='org.staff')),
                ('store', tenants.fields.BrandForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='org.store')),
            ],
            options={
                'indexes': [
                    models.Index(fields=['brand', 'paid_at'], include=('contact', 'amount_fen', 'refunded_fen', 'is_sale'), name='order_paid'),
                    models.Index(fields=['brand', 'contact', '-paid_at'], name='order_contact'),
                    models.Index(fields=['brand', '-placed_at', '-id'], name='order_newest'),
                    models.Index(condition=models.Q(('staff__isnull', False)), fields=['brand', 'staff', '-placed_at', '-id'], name='order_staff'),
                    models.Index(condition=models.Q(('contact__isnull', True)), fields=['brand', 'buyer_kind', 'buyer_scope', 'buyer_value'], name='order_buyer'),
                    models.Index(condition=models.Q(('contact__isnull', True)), fields=['brand', '-placed_at', '-id'], name='order_waiting'),
                ],
                'constraints': [
                    models.UniqueConstraint(fields=('brand', 'source', 'order_no'), name='order_once'),
                ],
            },
        ),
        migrations.CreateModel(
            name='Product',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('sku', models.CharField(max_length=64, verbose_name='Product number')),
                ('name', models.CharField(max_length=200, verbose_name='Name')),
                ('category', models.CharField(blank=True, max_length=60, verbose_name='Category')),
                ('price_fen', models.BigIntegerField(default=0, verbose_name='Price')),
                ('usage_days', models.SmallIntegerField(null=True, verbose_name='Lasts for days')),
                ('is_active', models.BooleanField(default=True, verbose_name='On sale')),
                ('updated_at', models.DateTimeField(default=scrm.clock.now)),
                ('created_at', models.DateTimeField(default=scrm.clock.now)),
                ('brand', tenants.fields.BrandField(db_index=False, default=tenants.scoping.current_brand_id, editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tenants.brand')),
            ],
            options={
                'indexes': [
                    models.Index(fields=['brand', 'category', '-id'], name='product_category'),
                ],
                'constraints': [
                    models.UniqueConstraint(fields=('brand', 'sku'), name='product_sku'),
                ],
            },
        ),
        migrations.CreateModel(
            name='OrderLine',
            fields=[
                ('pk', models.CompositePrimaryKey('brand', 'order', 'n', blank=True, editable=False, primary_key=True, serialize=False)),
                ('n', models.SmallIntegerField()),
                ('sku', models.CharField(blank=True, max_length=64)),
                ('name', models.CharField(blank=True, max_length=200)),
                ('quantity', models.IntegerField(default=1)),
                ('amount_fen', models.BigIntegerField(default=0)),
                ('brand', tenants.fields.BrandField(db_index=False, default=tenants.scoping.current_brand_id, editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tenants.brand')),
                ('order', tenants.fields.BrandForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='commerce.order')),
                ('product', tenants.fields.BrandForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='commerce.product')),
            ],
            options={
                'indexes': [
                    models.Index(condition=models.Q(('product__isnull', False)), fields=['brand', 'product', 'order'], name='line_product'),
                    models.Index(condition=models.Q(('product__isnull', True), models.Q(('sku', ''), _negated=True)), fields=['brand', 'sku'], name='line_sku'),
                ],
            },
        ),
        migrations.CreateModel(
            name='Refund',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('source', models.CharField(max_length=20)),
                ('refund_no', models.CharField(max_length=64, verbose_name='Refund number')),
                ('order_no', models.CharField(max_length=64, verbose_name='Order number')),
                ('amount_fen', models.BigIntegerField(verbose_name='Amount')),
                ('refunded_at', models.DateTimeField(verbose_name='Refunded')),
                ('reason', models.CharField(blank=True, max_length=200, verbose_name='Reason')),
                ('is_cancelled', models.BooleanField(default=False)),
                ('is_told', models.BooleanField(default=False)),
                ('updated_at', models.DateTimeField()),
                ('created_at', models.DateTimeField(default=scrm.clock.now)),
                ('brand', tenants.fields.BrandField(db_index=False, default=tenants.scoping.current_brand_id, editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tenants.brand')),
                ('order', tenants.fields.BrandForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='commerce.order')),
            ],
            options={
                'indexes': [
                    models.Index(condition=models.Q(('order__isnull', False)), fields=['brand', 'order'], name='refund_order'),
                    models.Index(condition=models.Q(('order__isnull', True)), fields=['brand', 'source', 'order_no'], name='refund_waiting'),
                ],
                'constraints': [
                    models.UniqueConstraint(fields=('brand', 'source', 'refund_no'), name='refund_once'),
                ],
            },
        ),
    ]
