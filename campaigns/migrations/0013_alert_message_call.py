from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0012_send_task_storage")]

    operations = [migrations.RemoveField(model_name="alertmessage", name="call_id")]
