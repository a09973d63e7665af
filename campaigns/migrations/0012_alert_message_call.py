from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0011_sop_content_reason")]

    operations = [migrations.RemoveField(model_name="alertmessage", name="call_id")]
