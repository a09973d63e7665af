import django.db.models.deletion
import tenants.fields
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('content', '0004_posters'),
    ]

    operations = [
        migrations.AlterField(
            model_name='poster',
            name='link',
            field=tenants.fields.BrandForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='content.trackedlink', verbose_name='The code leads to'),
        ),
    ]
